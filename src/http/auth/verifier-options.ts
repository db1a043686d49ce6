/** What a verifier is told: whom to trust, for what, with which key. */
import { systemClock, type Clock } from '../../core/clock.ts'
import { atLeast, between, integerAtLeast, invalidOption, nonEmptyString, resolveOptions } from '../../core/options.ts'
import type { Listener } from '../../core/telemetry.ts'
import type { AuthEvent } from './events.ts'
import { RemoteKeySet, type RemoteKeySetOptions } from './remote-key-set.ts'
import { bindPublicKey, bindSecret, fixedKey, type BoundKey, type KeySource, type VerificationKey } from './verification-key.ts'

/** One issuer that is trusted, with its own keys: a token is never verified with another issuer's. */
export interface IssuerOptions {
  /** The `iss` that tokens must carry, exactly. */
  readonly issuer: string
  /** The `aud` that tokens must carry, alone or in a list. */
  readonly audience: string
  readonly key: VerificationKey
  /** The token type in the header. Default: `at+jwt` (RFC 9068). */
  readonly typ?: string | undefined
}

export interface VerifierTuning {
  /** As in events. Default: `auth`. */
  readonly name: string
  /** How far the issuer's clock may be off, in milliseconds, at most 60_000. Default: 5_000. */
  readonly clockSkewMs: number
  /** The longest life that a token may have left, in milliseconds. Default: 86_400_000. */
  readonly maxLifetimeMs: number
  /** Longer tokens are refused unread, in bytes. Default: 8_192. */
  readonly maxTokenBytes: number
  /** How many verified tokens are remembered. Default: 10_000. */
  readonly cacheMaxEntries: number
  /** How long one is remembered before its signature is checked again, in milliseconds; 0 for never. Default: 30_000. */
  readonly cacheTtlMs: number
  /** Default: the system's. */
  readonly clock: Clock
}

export const VERIFIER_DEFAULTS: VerifierTuning = {
  name: 'auth',
  clockSkewMs: 5_000,
  maxLifetimeMs: 86_400_000,
  maxTokenBytes: 8_192,
  cacheMaxEntries: 10_000,
  cacheTtlMs: 30_000,
  clock: systemClock,
}

/** What has no default, and is absent by default. */
export interface VerifierHooks {
  /** Asked for each request with a good token, also a remembered one: `true` refuses it. Default: nothing is revoked. */
  readonly revoked?: ((claims: Readonly<Record<string, unknown>>) => boolean | Promise<boolean>) | undefined
  readonly onEvent?: Listener<AuthEvent> | undefined
}

/** One issuer, or several. */
export type VerifierOptions = Partial<VerifierTuning> &
  VerifierHooks &
  (IssuerOptions | { readonly issuers: readonly IssuerOptions[] })

const OWNER = 'auth'

/** @throws KeelsonError `KEELSON_CONFIG_INVALID` */
export function resolveVerifier(given: VerifierOptions): {
  readonly options: VerifierTuning
  readonly issuers: readonly IssuerOptions[]
} {
  const { issuers, issuer, audience, key, typ, revoked, onEvent, ...tuning } = given as Partial<IssuerOptions> &
    VerifierHooks & { readonly issuers?: readonly IssuerOptions[] } & Partial<VerifierTuning>
  const options = resolveOptions<VerifierTuning>(OWNER, VERIFIER_DEFAULTS, tuning, {
    name: nonEmptyString,
    clockSkewMs: between(0, 60_000),
    maxLifetimeMs: atLeast(1),
    maxTokenBytes: integerAtLeast(256),
    cacheMaxEntries: integerAtLeast(1),
    cacheTtlMs: between(0, 30_000),
  })
  checkFunction('revoked', revoked)
  checkFunction('onEvent', onEvent)
  if (issuers !== undefined && (issuer ?? audience ?? key ?? typ) !== undefined) {
    throw invalidOption(OWNER, 'issuers', 'cannot be given together with `issuer`, `audience`, `key` or `typ`', issuers)
  }
  return { options, issuers: checkIssuers(issuers ?? [{ issuer, audience, key, typ } as IssuerOptions]) }
}

function checkFunction(option: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') throw invalidOption(OWNER, option, 'must be a function', value)
}

function checkIssuers(issuers: readonly IssuerOptions[]): readonly IssuerOptions[] {
  if (!Array.isArray(issuers) || issuers.length === 0) throw invalidOption(OWNER, 'issuers', 'must be a non-empty list', issuers)
  const seen = new Set<string>()
  for (const { issuer, audience, typ } of issuers) {
    for (const [option, value] of Object.entries({ issuer, audience, typ: typ ?? 'at+jwt' })) {
      const problem = nonEmptyString(value)
      if (problem) throw invalidOption(OWNER, option, problem, value)
    }
    if (seen.has(issuer)) throw invalidOption(OWNER, 'issuers', 'must name each issuer once', issuer)
    seen.add(issuer)
  }
  return issuers
}

/** @throws KeelsonError `KEELSON_CONFIG_INVALID`; never with the key in it. */
export function keySourceOf(
  { issuer, key }: IssuerOptions,
  shared: Pick<RemoteKeySetOptions, 'source' | 'clock' | 'emit' | 'lifetime'>,
): KeySource {
  const kinds = ['secret', 'publicKey', 'jwksUrl'].filter((kind) => Object.hasOwn(key ?? {}, kind))
  if (kinds.length !== 1) {
    throw invalidOption(OWNER, 'key', 'must have exactly one of `secret`, `publicKey`, `jwksUrl`', kinds.join(' and ') || 'none')
  }
  if ('secret' in key) return fixedKey(checked('key.secret', () => bindSecret(key.secret)))
  if ('publicKey' in key) {
    const bound = checked('key.publicKey', () => bindPublicKey(key.publicKey))
    if (key.algorithm === undefined || bound.algorithms.includes(key.algorithm)) return fixedKey(bound)
    throw invalidOption(OWNER, 'key.algorithm', `must be ${bound.algorithms[0]} for a key of this type`, key.algorithm)
  }
  const url = checkedUrl(key.jwksUrl, key.allowInsecureLoopback === true)
  return new RemoteKeySet({ ...shared, issuer, url })
}

function checked(option: string, bind: () => BoundKey): BoundKey {
  try {
    return bind()
  } catch (cause) {
    throw invalidOption(OWNER, option, cause instanceof Error ? cause.message : 'is not usable', '(hidden)')
  }
}

function checkedUrl(text: string, allowLoopback: boolean): URL {
  const url = URL.parse(text)
  if (!url || url.username !== '' || url.password !== '') {
    throw invalidOption(OWNER, 'key.jwksUrl', 'must be a URL without a user or password', '(hidden)')
  }
  const loopback = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(url.hostname)
  if (url.protocol === 'https:' || (url.protocol === 'http:' && loopback && allowLoopback)) return url
  throw invalidOption(OWNER, 'key.jwksUrl', 'must be an https: URL', text)
}
