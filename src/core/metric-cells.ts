/** The cells of a metrics table: one number, or one row of buckets, of one combination of label values. */

export type Cell = CounterCell | GaugeCell | HistogramCell

export interface Reading {
  readonly value: number
  readonly counts?: readonly number[]
}

/** Only ever grows; back to 0 with the process. */
export class CounterCell {
  #value = 0

  inc(by = 1): void {
    this.#value += by
  }

  /** For a total that is kept elsewhere and read at the scrape. */
  set(total: number): void {
    this.#value = total
  }

  read(): Reading {
    return { value: this.#value }
  }
}

/** Goes up and down. */
export class GaugeCell {
  #value = 0

  set(value: number): void {
    this.#value = value
  }

  inc(by = 1): void {
    this.#value += by
  }

  dec(by = 1): void {
    this.#value -= by
  }

  read(): Reading {
    return { value: this.#value }
  }
}

/** Counts observations by size. */
export class HistogramCell {
  readonly #bounds: readonly number[]
  readonly #counts: Float64Array
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    const bounds = this.#bounds
    let i = 0
    // Linear on purpose: with a dozen bounds, and most values in the low ones, it beats a binary search.
    while (i < bounds.length && value > (bounds[i] as number)) i++
    this.#counts[i] = (this.#counts[i] as number) + 1
    this.#sum += value
  }

  read(): Reading {
    return { value: this.#sum, counts: [...this.#counts] }
  }
}
