/**
 * What a metrics table holds at one moment, as plain data that crosses process borders, and the sum of several such.
 * Prometheus would otherwise meet whichever worker happens to accept its connection.
 */

export type MetricType = 'counter' | 'gauge' | 'histogram'

/** How the values of several workers become one: kept apart under a `worker` label, added, or the largest taken. */
export type Aggregation = 'worker' | 'sum' | 'max'

export interface SeriesSnapshot {
  /** Values of the metric's labels, in the metric's order. */
  readonly labels: readonly string[]
  /** Of a counter or gauge; of a histogram, the sum of all observations. */
  readonly value: number
  /** Of a histogram: observations per bucket, not cumulative; one more than there are bounds, the last up to infinity. */
  readonly counts?: readonly number[]
}

export interface MetricSnapshot {
  readonly name: string
  readonly help: string
  readonly type: MetricType
  readonly labels: readonly string[]
  readonly aggregate: Aggregation
  /** Upper bounds of a histogram's buckets, ascending, without infinity. */
  readonly bounds?: readonly number[]
  readonly series: readonly SeriesSnapshot[]
}

export interface MetricsSnapshot {
  readonly metrics: readonly MetricSnapshot[]
}

export interface SnapshotSource {
  /** Value of the `worker` label, e.g. the worker's slot: few and recurring, because each makes its own series. */
  readonly worker: string
  readonly snapshot: MetricsSnapshot
  /** The worker is gone: what it counted still counts, what it measured no longer is. Default: false. */
  readonly retired?: boolean
}

const WORKER_LABEL = 'worker'

/**
 * One snapshot of many. Counters and histograms are added, retired workers included, so that no total ever falls;
 * gauges follow their `aggregate`. Merging retired workers alone gives a snapshot that can stand for all of them.
 */
export function mergeSnapshots(sources: readonly SnapshotSource[]): MetricsSnapshot {
  const merged = new Map<string, MergedMetric>()
  for (const { worker, snapshot, retired = false } of sources) {
    for (const metric of snapshot.metrics) {
      if (metric.type === 'gauge' && retired) continue
      let target = merged.get(metric.name)
      if (!target) merged.set(metric.name, (target = new MergedMetric(metric)))
      target.add(metric, worker)
    }
  }
  return { metrics: [...merged.values()].map((metric) => metric.snapshot()) }
}

class MergedMetric {
  readonly #shape: MetricSnapshot
  readonly #perWorker: boolean
  readonly #series = new Map<string, SeriesSnapshot>()

  constructor(shape: MetricSnapshot) {
    this.#shape = shape
    // A metric that has the label already was merged before.
    this.#perWorker = shape.type === 'gauge' && shape.aggregate === 'worker' && !shape.labels.includes(WORKER_LABEL)
  }

  add(metric: MetricSnapshot, worker: string): void {
    // During a reload, old and new code may disagree about a metric; the first wins, because a mixture would be neither.
    if (!sameShape(metric, this.#shape)) return
    for (const series of metric.series) {
      const labels = this.#perWorker ? [...series.labels, worker] : series.labels
      const key = labels.join('\0')
      const before = this.#series.get(key)
      this.#series.set(key, before ? this.#combine(before, series) : { ...series, labels })
    }
  }

  #combine(a: SeriesSnapshot, b: SeriesSnapshot): SeriesSnapshot {
    const { type, aggregate } = this.#shape
    if (type === 'gauge' && aggregate !== 'sum') {
      return { ...a, value: aggregate === 'max' ? Math.max(a.value, b.value) : b.value }
    }
    if (!a.counts || !b.counts) return { ...a, value: a.value + b.value }
    const others = b.counts
    return { ...a, value: a.value + b.value, counts: a.counts.map((count, i) => count + (others[i] ?? 0)) }
  }

  snapshot(): MetricSnapshot {
    const labels = this.#perWorker ? [...this.#shape.labels, WORKER_LABEL] : this.#shape.labels
    return { ...this.#shape, labels, series: [...this.#series.values()] }
  }
}

function sameShape(a: MetricSnapshot, b: MetricSnapshot): boolean {
  return a.type === b.type && sameList(a.labels, b.labels) && sameList(a.bounds ?? [], b.bounds ?? [])
}

function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i])
}
