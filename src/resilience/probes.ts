/**
 * The calls that a half-open breaker lets through. Each has a time limit, because one that never ends must not keep
 * the breaker half-open for ever.
 */

export interface Probe {
  readonly expiresAt: number
}

/** What the probes have shown so far. */
export type ProbeResult = 'undecided' | 'works' | 'broken'

/** One failure may be chance; the second is not. */
const FAILURES_TO_REOPEN = 2

export class Probes {
  successes = 0
  failures = 0
  readonly #limit: number
  readonly #running = new Set<Probe>()

  /** @param limit probes at a time, and successes needed. */
  constructor(limit: number) {
    this.#limit = limit
  }

  get running(): number {
    return this.#running.size
  }

  /** Milliseconds until the first running probe must have ended. */
  firstExpiryMs(now: number): number {
    let first = Infinity
    for (const { expiresAt } of this.#running) first = Math.min(first, expiresAt)
    return Math.max(0, first - now)
  }

  /** @returns whether there was room. */
  add(probe: Probe): boolean {
    if (this.#running.size >= this.#limit) return false
    this.#running.add(probe)
    return true
  }

  /** Frees the probe's place; one that had expired was judged already, and changes nothing. */
  end(probe: Probe, outcome: 'success' | 'failure' | 'none'): void {
    if (!this.#running.delete(probe)) return
    if (outcome === 'success') this.successes++
    if (outcome === 'failure') this.failures++
  }

  /** Counts every probe that is over its time as a failure. */
  expire(now: number): void {
    for (const probe of this.#running) if (probe.expiresAt <= now) this.end(probe, 'failure')
  }

  get result(): ProbeResult {
    if (this.failures >= FAILURES_TO_REOPEN) return 'broken'
    return this.successes >= this.#limit ? 'works' : 'undecided'
  }
}
