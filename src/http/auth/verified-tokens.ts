/**
 * Remembers tokens whose signature was found good, because checking one costs some 100 µs and a client sends the same
 * token with every request. Bounded in number and in characters; entries live for seconds, so the oldest goes first.
 *
 * The key is the whole token. That is safe because only canonical texts get here: no second text means the same token.
 */
import type { Clock } from '../../core/clock.ts'
import type { Principal } from './claims.ts'

interface Entry {
  readonly principal: Principal
  /** Monotonic; when to look at the key again. */
  readonly staleAt: number
  /** Wall clock; when the token itself ends. */
  readonly endsAt: number
}

/** All remembered tokens together: about 16 MB of text, whatever their number. */
const MAX_CHARACTERS = 16 * 1024 * 1024

export class VerifiedTokens {
  readonly #entries = new Map<string, Entry>()
  readonly #limits: { readonly maxEntries: number; readonly ttlMs: number }
  readonly #clock: Clock
  #characters = 0

  constructor(limits: { readonly maxEntries: number; readonly ttlMs: number }, clock: Clock) {
    this.#limits = limits
    this.#clock = clock
  }

  get(token: string): Principal | undefined {
    const entry = this.#entries.get(token)
    if (!entry) return undefined
    if (this.#clock.now() < entry.staleAt && this.#clock.wallNow() < entry.endsAt) return entry.principal
    this.#drop(token)
    return undefined
  }

  set(token: string, principal: Principal, endsAt: number): void {
    this.#drop(token)
    this.#entries.set(token, { principal, staleAt: this.#clock.now() + this.#limits.ttlMs, endsAt })
    this.#characters += token.length
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#limits.maxEntries && this.#characters <= MAX_CHARACTERS) break
      this.#drop(oldest)
    }
  }

  #drop(token: string): void {
    if (this.#entries.delete(token)) this.#characters -= token.length
  }
}
