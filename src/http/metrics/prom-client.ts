/** Metrics that somebody keeps in a prom-client registry, in the form of our own. */
import type { MetricSource } from '../../core/metrics.ts'
import type { MetricSnapshot, SeriesSnapshot } from '../../core/metrics-snapshot.ts'

/** The part of prom-client's `Registry` that is used (prom-client 14 and 15). */
export interface PromClientRegistry {
  getMetricsAsJSON(): Promise<readonly PromClientMetric[]>
}

export interface PromClientMetric {
  readonly name: string
  readonly help: string
  readonly type: unknown
  readonly aggregator?: unknown
  readonly values?: readonly PromClientValue[]
}

export interface PromClientValue {
  readonly value: number
  readonly labels: Readonly<Record<string, string | number | undefined>>
  /** Of a histogram: which of `_bucket`, `_sum` and `_count` this is. */
  readonly metricName?: string
}

/** Counters, gauges and histograms; summaries are left out, because quantiles of several workers have no sum. */
export function promClientSource(registry: PromClientRegistry): () => MetricSource {
  return async () => (await registry.getMetricsAsJSON()).map(translated).filter((metric) => metric !== undefined)
}

function translated(metric: PromClientMetric): MetricSnapshot | undefined {
  const values = metric.values ?? []
  if (metric.type === 'histogram') return histogram(metric, values)
  if (metric.type !== 'counter' && metric.type !== 'gauge') return undefined
  const { name, help, type } = metric
  const labels = labelNames(values)
  const series = values.map((value) => ({ labels: labelValues(labels, value), value: value.value }))
  return { name, help, type, labels, aggregate: aggregation(metric.aggregator), series }
}

function aggregation(aggregator: unknown): MetricSnapshot['aggregate'] {
  return aggregator === 'sum' || aggregator === 'max' ? aggregator : 'worker'
}

function histogram({ name, help }: PromClientMetric, values: readonly PromClientValue[]): MetricSnapshot {
  const labels = labelNames(values).filter((label) => label !== 'le')
  const buckets = values.filter((value) => value.metricName === `${name}_bucket`)
  const bounds = [...new Set(buckets.map((value) => Number(value.labels['le'])))]
    .filter(Number.isFinite)
    .toSorted((a, b) => a - b)
  const sums = values.filter((value) => value.metricName === `${name}_sum`)
  const series = sums.map((sum): SeriesSnapshot => {
    const own = labelValues(labels, sum)
    const cumulative = buckets
      .filter((bucket) => labelValues(labels, bucket).join('\0') === own.join('\0'))
      .map((bucket) => bucket.value)
      .toSorted((a, b) => a - b)
    return { labels: own, value: sum.value, counts: cumulative.map((count, i) => count - (cumulative[i - 1] ?? 0)) }
  })
  return { name, help, type: 'histogram', labels, aggregate: 'worker', bounds, series }
}

function labelNames(values: readonly PromClientValue[]): string[] {
  return [...new Set(values.flatMap((value) => Object.keys(value.labels)))]
}

function labelValues(names: readonly string[], { labels }: PromClientValue): string[] {
  return names.map((name) => String(labels[name] ?? ''))
}
