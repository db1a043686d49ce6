/**
 * A running estimate of the median in one number: each sample moves it one step of 5 % towards itself.
 * After: Ma, Muthukrishnan, Sandler, "Frugal Streaming for Estimating Quantiles" (2013), https://arxiv.org/abs/1407.1121,
 * with a relative step, because durations span orders of magnitude.
 */
const STEP = 1.05

/** Below this a relative step would never get anywhere, in milliseconds. */
const FLOOR_MS = 0.01

export class Median {
  #estimate: number | undefined

  /** The estimate, in the unit of the samples; `undefined` before the first. */
  get value(): number | undefined {
    return this.#estimate
  }

  add(sample: number): void {
    if (this.#estimate === undefined) this.#estimate = Math.max(FLOOR_MS, sample)
    else if (sample > this.#estimate) this.#estimate = Math.min(sample, this.#estimate * STEP)
    else this.#estimate = Math.max(FLOOR_MS, sample, this.#estimate / STEP)
  }
}
