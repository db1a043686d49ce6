/** The figures that workers report, and the last ones of those that are gone, so that counters need not fall. */
import type { Worker } from './worker.ts'

export interface Reports {
  /** The latest figures of each living worker. */
  readonly live: readonly { readonly worker: number; readonly metrics: unknown }[]
  /** The last figures of workers that are gone; a single sum if `mergeMetrics` is given. */
  readonly retired: readonly unknown[]
}

/** Adds the figures of a worker that is gone to the sum of those before it. */
export type MergeMetrics = (sum: unknown, metrics: unknown) => unknown

/** Bounds memory where nobody merges: then the figures of the oldest are forgotten. */
const MAX_RETIRED = 1_000

export class RetiredReports {
  readonly #merge: MergeMetrics | undefined
  #kept: readonly unknown[] = []

  constructor(merge: MergeMetrics | undefined) {
    this.#merge = merge
  }

  get kept(): readonly unknown[] {
    return this.#kept
  }

  add({ report }: Worker): void {
    const metrics = report?.metrics
    if (metrics === undefined) return
    const [sum] = this.#kept
    if (this.#merge && sum !== undefined) this.#kept = [this.#merge(sum, metrics)]
    else this.#kept = [...this.#kept, metrics].slice(-MAX_RETIRED)
  }
}
