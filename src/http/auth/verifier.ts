/**
 * Decides whether a token is good: JWT access tokens (RFC 9068) under the rules of RFC 8725.
 * Cheap checks come first, the signature last; what was found good is remembered for seconds.
 */
import { compactVerify } from 'jose'
import { linkSignal, NEVER, untilAborted } from '../../core/abort.ts'
import type { Clock } from '../../core/clock.ts'
import { isKeelsonError } from '../../core/errors.ts'
import { createEmitter, type Listener } from '../../core/telemetry.ts'
import { endOf, principalOf, type ClaimRules, type Principal } from './claims.ts'
import { AUTH_CHANNEL, type AuthEvent } from './events.ts'
import { refused, undecided } from './refusal.ts'
import { parseToken, type ParsedToken } from './token.ts'
import type { BoundKey, KeySource } from './verification-key.ts'
import { VerifiedTokens } from './verified-tokens.ts'
import { keySourceOf, resolveVerifier, type IssuerOptions, type VerifierOptions } from './verifier-options.ts'

export interface Verifier extends AsyncDisposable {
  /** As in events and on dashboards. */
  readonly name: string
  /**
   * @returns who the token speaks for; the same frozen object for the same token while it is remembered.
   * @throws KeelsonError `KEELSON_UNAUTHENTICATED` for every bad token; the reason is in `details`, for the log.
   * @throws KeelsonError `KEELSON_AUTH_UNAVAILABLE` if keys or the revocation list cannot be had; `signal.reason` if aborted.
   */
  verify(token: string, signal?: AbortSignal): Promise<Principal>
}

/** @throws KeelsonError `KEELSON_CONFIG_INVALID`, also for a key that is too weak. */
export function createVerifier(given: VerifierOptions): Verifier {
  return new TokenVerifier(given)
}

interface Issuer {
  readonly keys: KeySource
  readonly type: string
  readonly rules: ClaimRules
}

class TokenVerifier implements Verifier {
  readonly name: string
  readonly #issuers = new Map<string, Issuer>()
  readonly #verified: VerifiedTokens
  readonly #maxTokenBytes: number
  readonly #clock: Clock
  readonly #revoked: VerifierOptions['revoked']
  readonly #emit: Listener<AuthEvent>
  readonly #lifetime = linkSignal(NEVER)

  constructor(given: VerifierOptions) {
    const { options, issuers } = resolveVerifier(given)
    this.name = options.name
    this.#clock = options.clock
    this.#maxTokenBytes = options.maxTokenBytes
    this.#revoked = given.revoked
    this.#emit = createEmitter<AuthEvent>(AUTH_CHANNEL, given.onEvent)
    this.#verified = new VerifiedTokens({ maxEntries: options.cacheMaxEntries, ttlMs: options.cacheTtlMs }, options.clock)
    for (const one of issuers) this.#issuers.set(one.issuer, this.#issuerOf(one, options))
  }

  #issuerOf(one: IssuerOptions, options: Pick<ClaimRules, 'clockSkewMs' | 'maxLifetimeMs'>): Issuer {
    const { issuer, audience, typ = 'at+jwt' } = one
    const { clockSkewMs, maxLifetimeMs } = options
    return {
      keys: keySourceOf(one, { source: this.name, clock: this.#clock, emit: this.#emit, lifetime: this.#lifetime.signal }),
      type: mediaType(typ),
      rules: { issuer, audience, clockSkewMs, maxLifetimeMs },
    }
  }

  async verify(token: string, signal: AbortSignal = NEVER): Promise<Principal> {
    signal.throwIfAborted()
    try {
      const principal = this.#verified.get(token) ?? (await untilAborted(this.#check(token), signal))
      // Asked every time: a revoked token must not live on in the memory of good ones.
      if (this.#revoked && (await untilAborted(this.#isRevoked(principal), signal))) throw refused('revoked')
      return principal
    } catch (error) {
      if (isKeelsonError(error, 'KEELSON_UNAUTHENTICATED')) this.#report(error.details['reason'])
      throw error
    }
  }

  async #check(token: string): Promise<Principal> {
    const parsed = parseToken(token, this.#maxTokenBytes)
    const { iss } = parsed.payload
    const issuer = typeof iss === 'string' ? this.#issuers.get(iss) : undefined
    if (!issuer) throw refused('issuer')
    if (mediaType(parsed.typ) !== issuer.type) throw refused('type')
    const principal = principalOf(parsed.payload, issuer.rules, this.#clock.wallNow())
    await checkSignature(token, parsed, await issuer.keys.keyFor(parsed.alg, parsed.kid))
    this.#verified.set(token, principal, endOf(parsed.payload, issuer.rules))
    return principal
  }

  async #isRevoked({ claims }: Principal): Promise<boolean | undefined> {
    try {
      return await this.#revoked?.(claims)
    } catch (cause) {
      throw undecided('whether the token is revoked cannot be told', cause)
    }
  }

  #report(reason: unknown): void {
    this.#emit({ type: 'token.refused', source: this.name, reason: reason as never })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lifetime.abort(new Error('the verifier was disposed'))
  }
}

async function checkSignature(token: string, { alg }: ParsedToken, { key }: BoundKey): Promise<void> {
  try {
    await compactVerify(token, key, { algorithms: [alg] })
  } catch (cause) {
    throw refused('signature', cause)
  }
}

/** `at+jwt` and `application/at+jwt` are the same type (RFC 7515 §4.1.9), and types ignore case. */
function mediaType(typ: string): string {
  const type = typ.toLowerCase()
  return type.includes('/') ? type : `application/${type}`
}
