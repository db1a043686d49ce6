/**
 * An issuer's keys, read from its URL and kept. One request at a time; a token with an unknown key id causes at most one
 * refresh in 30 s; while the issuer is down, the keys it gave last stay good for a day.
 */
import { linkSignal } from '../../core/abort.ts'
import type { Clock } from '../../core/clock.ts'
import type { Listener } from '../../core/telemetry.ts'
import type { KeysFailed, KeysRefreshed } from './events.ts'
import { fetchKeySet, type KeySet } from './fetch-key-set.ts'
import { refused, undecided } from './refusal.ts'
import type { BoundKey, KeySource } from './verification-key.ts'

/** An answer slower than this counts as none. */
const TIMEOUT_MS = 2_000
/** How long keys are used without asking again. */
const FRESH_MS = 600_000
/** The shortest time between two refreshes that unknown key ids ask for. */
const COOLDOWN_MS = 30_000
/** The same after a failure: short, so that a returning issuer is noticed. */
const RETRY_MS = 2_000
/** How long keys are used while the issuer cannot be reached. */
const STALE_IF_ERROR_MS = 86_400_000
/** How long a key id that a refresh did not bring causes no other. */
const UNKNOWN_MS = 120_000
const MAX_UNKNOWN = 1_000

export interface RemoteKeySetOptions {
  readonly url: URL
  readonly issuer: string
  readonly source: string
  readonly clock: Clock
  readonly emit: Listener<KeysRefreshed | KeysFailed>
  /** Ends a request under way when the verifier is disposed. */
  readonly lifetime: AbortSignal
}

export class RemoteKeySet implements KeySource {
  readonly #options: RemoteKeySetOptions
  /** Key ids that were asked for in vain, and when; oldest first. */
  readonly #unknown = new Map<string, number>()
  #current: { readonly set: KeySet; readonly readAt: number } | undefined
  #nextRefreshAt = -Infinity
  #refreshing: Promise<void> | undefined
  #lastError: unknown

  constructor(options: RemoteKeySetOptions) {
    this.#options = options
  }

  async keyFor(alg: string, kid: string | undefined): Promise<BoundKey> {
    await this.#freshen()
    const key = this.#find(kid) ?? (await this.#findAfterRefresh(kid))
    if (!this.#current) throw undecided('the keys that verify tokens cannot be read', this.#lastError)
    if (!key) throw refused('unknown_key')
    if (!key.algorithms.includes(alg)) throw refused('algorithm')
    return key
  }

  /** A token without a key id can only mean the one key there is. */
  #find(kid: string | undefined): BoundKey | undefined {
    const keys = this.#current?.set.keys
    if (kid !== undefined) return keys?.get(kid)
    return keys?.size === 1 ? keys.values().next().value : undefined
  }

  async #freshen(): Promise<void> {
    const ageMs = this.#current ? this.#options.clock.now() - this.#current.readAt : Infinity
    if (ageMs <= FRESH_MS) return
    if (ageMs > STALE_IF_ERROR_MS) this.#current = undefined
    const refresh = this.#refresh()
    // After a failure the old keys are used at once: a hanging issuer must not cost each request its timeout.
    if (!this.#current || this.#lastError === undefined) await refresh
  }

  async #findAfterRefresh(kid: string | undefined): Promise<BoundKey | undefined> {
    if (kid === undefined || this.#knownToBeUnknown(kid)) return undefined
    const before = this.#current
    await this.#refresh()
    const key = this.#find(kid)
    if (!key && this.#current !== before) this.#rememberUnknown(kid)
    return key
  }

  #knownToBeUnknown(kid: string): boolean {
    const since = this.#unknown.get(kid)
    return since !== undefined && this.#options.clock.now() - since < UNKNOWN_MS
  }

  #rememberUnknown(kid: string): void {
    this.#unknown.delete(kid)
    this.#unknown.set(kid, this.#options.clock.now())
    for (const oldest of this.#unknown.keys()) {
      if (this.#unknown.size <= MAX_UNKNOWN) break
      this.#unknown.delete(oldest)
    }
  }

  /** Joins a refresh under way; starts one if the last is long enough ago; never rejects. */
  #refresh(): Promise<void> {
    if (this.#refreshing) return this.#refreshing
    if (this.#options.clock.now() < this.#nextRefreshAt) return Promise.resolve()
    this.#refreshing = this.#read().finally(() => (this.#refreshing = undefined))
    return this.#refreshing
  }

  async #read(): Promise<void> {
    const { url, issuer, source, clock, emit, lifetime } = this.#options
    const startedAt = clock.now()
    using limit = linkSignal(lifetime)
    using _timer = clock.after(TIMEOUT_MS, () => limit.abort(new Error(`the key set did not arrive within ${TIMEOUT_MS} ms`)))
    try {
      const set = await fetchKeySet(url, limit.signal)
      this.#current = { set, readAt: clock.now() }
      this.#lastError = undefined
      this.#nextRefreshAt = clock.now() + COOLDOWN_MS
      emit({ type: 'keys.refreshed', source, issuer, keys: set.keys.size, durationMs: clock.now() - startedAt })
    } catch (error) {
      this.#lastError = error
      this.#nextRefreshAt = clock.now() + RETRY_MS
      emit({ type: 'keys.failed', source, issuer, error })
    }
  }
}
