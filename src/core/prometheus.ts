/**
 * A snapshot in the Prometheus text format, version 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
import type { MetricSnapshot, MetricsSnapshot, SeriesSnapshot } from './metrics-snapshot.ts'

export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Metrics without any series are left out: a name alone says nothing. */
export function renderPrometheus(snapshot: MetricsSnapshot): string {
  return snapshot.metrics
    .filter((metric) => metric.series.length > 0)
    .map(renderMetric)
    .join('')
}

function renderMetric(metric: MetricSnapshot): string {
  const { name, help, type } = metric
  const render = type === 'histogram' ? renderHistogram : renderValue
  const lines = metric.series.map((series) => render(metric, series))
  return `# HELP ${name} ${help.replace(/[\\\n]/g, escaped)}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function renderValue(metric: MetricSnapshot, series: SeriesSnapshot): string {
  return `${metric.name}${braces(pairs(metric, series))} ${number(series.value)}\n`
}

function renderHistogram(metric: MetricSnapshot, series: SeriesSnapshot): string {
  const { name, bounds = [] } = metric
  const labels = pairs(metric, series)
  let text = ''
  let total = 0
  for (const [i, count] of (series.counts ?? []).entries()) {
    total += count
    text += `${name}_bucket${braces([...labels, `le="${number(bounds[i] ?? Infinity)}"`])} ${total}\n`
  }
  return `${text}${name}_sum${braces(labels)} ${number(series.value)}\n${name}_count${braces(labels)} ${total}\n`
}

function pairs(metric: MetricSnapshot, series: SeriesSnapshot): string[] {
  return metric.labels.map((label, i) => `${label}="${(series.labels[i] ?? '').replace(/[\\\n"]/g, escaped)}"`)
}

function escaped(char: string): string {
  return char === '\n' ? '\\n' : `\\${char}`
}

function braces(labels: readonly string[]): string {
  return labels.length > 0 ? `{${labels.join(',')}}` : ''
}

function number(value: number): string {
  if (value === Infinity) return '+Inf'
  return value === -Infinity ? '-Inf' : String(value)
}
