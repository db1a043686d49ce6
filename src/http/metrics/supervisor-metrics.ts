/** The arbiter's own metrics; for its process, which has no app. */
import type { MetricsTable } from '../../core/metrics.ts'
import { SUPERVISOR_CHANNEL, type SupervisorEvent } from '../../supervisor/events.ts'
import { countEvents } from './counting.ts'

/** Adds them to `table` until disposed. */
export function supervisorMetrics(table: MetricsTable): Disposable {
  const counter = (name: string, help: string, ...labels: readonly string[]) => table.counter({ name, help, labels })
  const wanted = table.gauge({ name: 'supervisor_workers_wanted', help: 'Workers aimed at.' }).child()
  const started = counter('supervisor_workers_started_total', 'Workers started.').child()
  const exited = counter('supervisor_workers_exited_total', 'Workers that ended.', 'expected')
  const bootFailed = counter('supervisor_workers_boot_failed_total', 'Workers that could not start.').child()
  const failing = counter('supervisor_workers_failing_total', 'Workers replaced after a stray error.').child()
  const killed = counter('supervisor_workers_killed_total', 'Workers that had to be killed.', 'reason')
  const cut = counter('supervisor_requests_cut_total', 'Requests that a drain did not wait for.').child()
  const delayed = counter('supervisor_restarts_delayed_total', 'Starts put off after failures in a row.').child()
  const pages = counter('supervisor_pages_failed_total', 'Admin pages that failed.').child()

  return countEvents<SupervisorEvent>(SUPERVISOR_CHANNEL, {
    'arbiter.started': (event) => wanted.set(event.workers),
    'scale.changed': (event) => wanted.set(event.workers),
    'worker.started': () => started.inc(),
    'worker.exited': (event) => exited.child(String(event.expected)).inc(),
    'worker.boot_failed': () => bootFailed.inc(),
    'worker.failing': () => failing.inc(),
    'worker.killed': (event) => killed.child(event.reason).inc(),
    'worker.drained': (event) => cut.inc(event.cutRequests),
    'restart.delayed': () => delayed.inc(),
    'page.failed': () => pages.inc(),
    // For the log.
    'arbiter.ready': null,
    'arbiter.draining': null,
    'arbiter.stopping': null,
    'arbiter.stopped': null,
    'arbiter.gave_up': null,
    'worker.booted': null,
    'worker.ready': null,
    'worker.unready': null,
    'signal.received': null,
    'signal.ignored': null,
  })
}
