/** What the arbiter shows beside the probes: the workers' metrics as one, and facts for whoever is on the machine. */
import { createMetrics, type MetricsTable } from '../core/metrics.ts'
import { mergeSnapshots, type MetricsSnapshot } from '../core/metrics-snapshot.ts'
import { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from '../core/prometheus.ts'
import type { AdminPage, MergeMetrics, PageContext } from '../supervisor/index.ts'

export interface AdminPages {
  readonly pages: Readonly<Record<string, AdminPage>>
  /** The arbiter's own metrics. */
  readonly table: MetricsTable
}

export function createAdminPages(facts: Readonly<Record<string, unknown>>): AdminPages {
  const table = createMetrics()
  const workers = table.gauge({
    name: 'keelson_workers',
    help: 'Worker processes, by state.',
    labels: ['state'],
    aggregate: 'sum',
  })

  function showMetrics({ reports, workers: statuses }: PageContext): ReturnType<AdminPage> {
    for (const state of ['booting', 'serving', 'leaving'] as const) {
      workers.child(state).set(statuses.filter((status) => status.state === state).length)
    }
    const live = reports.live.map(({ worker, metrics }) => ({ worker: String(worker), snapshot: metrics as MetricsSnapshot }))
    const retired = reports.retired.map((metrics) => ({ worker: '', snapshot: metrics as MetricsSnapshot, retired: true }))
    const merged = mergeSnapshots([...live, ...retired, { worker: 'arbiter', snapshot: table.snapshot() }])
    return { status: 200, contentType: PROMETHEUS_CONTENT_TYPE, body: renderPrometheus(merged) }
  }

  function showInfo({ phase, workers: statuses, request }: PageContext): ReturnType<AdminPage> {
    if (!isLoopback(request.remoteAddress)) {
      const problem = { type: 'about:blank', title: 'Forbidden', status: 403, detail: 'this page is for the machine itself' }
      return { status: 403, contentType: 'application/problem+json', body: JSON.stringify(problem) }
    }
    return { status: 200, contentType: 'application/json', body: JSON.stringify({ ...facts, phase, workers: statuses }, null, 2) }
  }

  return { table, pages: { '/metrics': showMetrics, '/info': showInfo } }
}

/** The counts of workers that are gone, as one: totals must not fall when a worker is replaced. */
export const mergeRetired: MergeMetrics = (sum, metrics) =>
  mergeSnapshots([sum, metrics].map((snapshot) => ({ worker: '', snapshot: snapshot as MetricsSnapshot, retired: true })))

function isLoopback(address: string | undefined): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address ?? '')
}
