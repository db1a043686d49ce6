/**
 * A token bucket that successes fill and retries empty, shared by all calls of a pipeline.
 * Funded by successes, so that a dependency which answers nothing is asked hardly more than once per call; a budget
 * funded by requests keeps adding load during an outage, and the outage can outlive its cause.
 * Sources: gRPC A6 (https://github.com/grpc/proposal/blob/master/A6-client-retries.md),
 * Bronson et al., "Metastable Failures in Distributed Systems" (HotOS 2021).
 */
import type { Clock } from '../core/clock.ts'

export interface RetryBudgetOptions {
  /** Tokens that one success adds; a retry costs 1. */
  readonly ratio: number
  /** Most tokens kept; half of them are there at the start. */
  readonly cap: number
  /** Tokens that time adds, so that a client with little traffic may retry at all. */
  readonly perSecond: number
}

export class RetryBudget {
  readonly cap: number
  readonly #ratio: number
  readonly #perMs: number
  readonly #clock: Clock
  #tokens: number
  #countedAt: number

  constructor({ ratio, cap, perSecond }: RetryBudgetOptions, clock: Clock) {
    this.cap = cap
    this.#ratio = ratio
    this.#perMs = perSecond / 1_000
    this.#clock = clock
    this.#tokens = cap / 2
    this.#countedAt = clock.now()
  }

  /** Tokens there right now. */
  get tokens(): number {
    return this.#tokensAt(this.#clock.now())
  }

  deposit(): void {
    // The trickle is added on withdrawal: reading the clock on each success would cost more than the deposit.
    this.#tokens = Math.min(this.cap, this.#tokens + this.#ratio)
  }

  /** Takes one token if there is one. */
  withdraw(): boolean {
    const now = this.#clock.now()
    this.#tokens = this.#tokensAt(now)
    this.#countedAt = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  #tokensAt(now: number): number {
    return Math.min(this.cap, this.#tokens + (now - this.#countedAt) * this.#perMs)
  }
}
