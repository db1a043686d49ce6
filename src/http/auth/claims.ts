/** What a token says, checked against what its issuer is trusted for: RFC 7519 §4.1, RFC 9068 §4, RFC 8725 §3. */
import { refused } from './refusal.ts'
import type { JsonObject } from './json-object.ts'

/** Whoever sent the request. Shared by all requests with the same token, so deeply frozen. */
export interface Principal {
  /** Who it is, stable and unique at its issuer. */
  readonly sub: string
  readonly username?: string
  readonly scopes: ReadonlySet<string>
  /** All that the token says. */
  readonly claims: Readonly<Record<string, unknown>>
}

export interface ClaimRules {
  readonly issuer: string
  readonly audience: string
  readonly clockSkewMs: number
  readonly maxLifetimeMs: number
}

const MAX_NAME_LENGTH = 255

/** @throws KeelsonError `KEELSON_UNAUTHENTICATED` */
export function principalOf(claims: JsonObject, rules: ClaimRules, wallNow: number): Principal {
  if (claims['iss'] !== rules.issuer) throw refused('issuer')
  if (!isFor(claims['aud'], rules.audience)) throw refused('audience')
  checkTimes(claims, rules, wallNow)

  const { sub, jti, username, scope = '' } = claims
  if (!isName(sub)) throw refused('claims')
  if (jti !== undefined && !isName(jti)) throw refused('claims')
  if (username !== undefined && !isName(username)) throw refused('claims')
  if (typeof scope !== 'string') throw refused('claims')

  const scopes = new Set(scope.split(' ').filter((s) => s !== ''))
  return Object.freeze({ sub, ...(username === undefined ? {} : { username }), scopes, claims: deepFreeze(claims) })
}

/** The wall-clock time, in milliseconds, from which a token with these claims is no longer accepted. */
export function endOf(claims: JsonObject, { clockSkewMs }: Pick<ClaimRules, 'clockSkewMs'>): number {
  return (claims['exp'] as number) * 1_000 + clockSkewMs
}

/** A single name, or a list that holds ours. */
function isFor(aud: unknown, audience: string): boolean {
  if (typeof aud === 'string') return aud === audience
  return Array.isArray(aud) && aud.every((one) => typeof one === 'string') && aud.includes(audience)
}

function checkTimes(claims: JsonObject, rules: ClaimRules, wallNow: number): void {
  const { exp, nbf, iat } = claims
  if (!Number.isSafeInteger(exp)) throw refused('claims')
  if (wallNow >= endOf(claims, rules)) throw refused('expired')
  if ((exp as number) * 1_000 > wallNow + rules.maxLifetimeMs + rules.clockSkewMs) throw refused('lives_too_long')
  for (const start of [nbf, iat]) {
    if (start === undefined) continue
    if (typeof start !== 'number' || !Number.isFinite(start)) throw refused('claims')
    if (start * 1_000 > wallNow + rules.clockSkewMs) throw refused('not_yet_valid')
  }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_NAME_LENGTH
}

/** Bounded: the parser allows 32 levels. */
function deepFreeze<T extends object>(value: T): T {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) deepFreeze(inner as object)
  return Object.freeze(value)
}
