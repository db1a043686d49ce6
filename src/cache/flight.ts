/** A value on its way, by key: those who ask for it meanwhile wait for the same one. */
import { untilAborted } from '../core/abort.ts'
import type { Claim } from './claims.ts'
import type { SharedLoad } from './load.ts'

export interface Arrival<T> {
  readonly value: T | null
  /** The first invalidation that hit the value on its way; 0 for none. Whoever joined after it needs a newer value. */
  readonly voidedAt: number
}

export class Flight<T> {
  readonly key: string
  readonly claim: Claim
  readonly #load: SharedLoad<T>
  readonly #arrival = Promise.withResolvers<Arrival<T>>()

  constructor(key: string, claim: Claim, load: SharedLoad<T>) {
    this.key = key
    this.claim = claim
    this.#load = load
    // Everyone may have left before it fails.
    this.#arrival.promise.catch(() => {})
  }

  /** Whether a newcomer would get what it asks for. */
  get joinable(): boolean {
    return this.claim.voidedAt([]) === 0 && !this.#load.abandoned
  }

  land(value: T | null, tags: readonly string[]): void {
    this.#arrival.resolve({ value, voidedAt: this.claim.voidedAt(tags) })
  }

  fail(error: unknown): void {
    this.#arrival.reject(error)
  }

  /** @throws what the load threw; `signal.reason` as soon as `signal` aborts, which ends nobody else's waiting. */
  async join(signal: AbortSignal | undefined): Promise<Arrival<T>> {
    this.#load.join()
    const arrival = this.#arrival.promise
    try {
      return await (signal ? untilAborted(arrival, signal) : arrival)
    } finally {
      // Also who has got a value waits no more: the load may go on for other keys, and end when nobody waits for those.
      this.#load.leave()
    }
  }
}
