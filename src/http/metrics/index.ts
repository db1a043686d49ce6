/** `keelson/http/metrics`: requests, process and modules as Prometheus metrics. */
export { metrics, METRICS_DEFAULTS, type MetricsOptions } from './plugin.ts'
export { processMetrics } from './process.ts'
export { moduleMetrics } from './mapping.ts'
export { supervisorMetrics } from './supervisor-metrics.ts'
export { promClientSource, type PromClientMetric, type PromClientRegistry, type PromClientValue } from './prom-client.ts'
export {
  createMetrics,
  LATENCY_BUCKETS,
  type GaugeOptions,
  type HistogramOptions,
  type Metric,
  type MetricOptions,
  type MetricSource,
  type MetricsTable,
} from '../../core/metrics.ts'
export { CounterCell, GaugeCell, HistogramCell } from '../../core/metric-cells.ts'
export { mergeSnapshots, type MetricSnapshot, type MetricsSnapshot, type SnapshotSource } from '../../core/metrics-snapshot.ts'
export { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from '../../core/prometheus.ts'
