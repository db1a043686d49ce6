/** Pipelines as metrics: what their calls came to, and what their policies did about it. */
import type { MetricsTable } from '../../core/metrics.ts'
import { RESILIENCE_CHANNEL, type ResilienceEvent } from '../../resilience/events.ts'
import { pipelines } from '../../resilience/registry.ts'
import { countEvents } from './counting.ts'

/** As gauge values, so that a graph shows the change and an alert is a comparison. */
const BREAKER_STATES = { closed: 0, 'half-open': 1, open: 2, isolated: 3 } as const

export function resilienceMetrics(table: MetricsTable): readonly Disposable[] {
  return [eventMetrics(table), readPipelines(table)]
}

function eventMetrics(table: MetricsTable): Disposable {
  const counter = (name: string, help: string, ...more: readonly string[]) =>
    table.counter({ name, help, labels: ['pipeline', ...more] })
  const retries = counter('resilience_retries_total', 'Further attempts that were scheduled.')
  const denied = counter('resilience_retries_denied_total', 'Failures worth another attempt that got none.', 'reason')
  const opened = counter('resilience_breaker_opened_total', 'Times that a breaker opened.', 'reason')
  const rejected = counter('resilience_rejected_total', 'Calls refused before they began.', 'policy')
  const timeouts = counter('resilience_timeouts_total', 'Calls or attempts that took too long.', 'scope')
  const leaks = counter('resilience_leaks_total', 'Calls that went on after their caller was answered.')
  const fallbacks = counter('resilience_fallbacks_total', 'Calls answered by a fallback.')

  return countEvents<ResilienceEvent>(RESILIENCE_CHANNEL, {
    'retry.scheduled': (event) => retries.child(event.source).inc(),
    'retry.denied': (event) => denied.child(event.source, event.reason).inc(),
    'breaker.opened': (event) => opened.child(event.source, event.reason).inc(),
    'breaker.rejected': (event) => rejected.child(event.source, 'breaker').inc(),
    'bulkhead.rejected': (event) => rejected.child(event.source, 'bulkhead').inc(),
    'timeout.exceeded': (event) => timeouts.child(event.source, event.scope).inc(),
    'work.leaked': (event) => leaks.child(event.source).inc(),
    'fallback.used': (event) => fallbacks.child(event.source).inc(),
    // The state is read below.
    'breaker.half-opened': null,
    'breaker.closed': null,
  })
}

function readPipelines(table: MetricsTable): Disposable {
  const gauge = (name: string, help: string, aggregate?: 'sum') =>
    table.gauge({ name, help, labels: ['pipeline'], ...(aggregate ? { aggregate } : {}) })
  const calls = table.counter({ name: 'resilience_calls_total', help: 'Calls that ended.', labels: ['pipeline', 'outcome'] })
  const running = gauge('resilience_calls_running', 'Calls that somebody waits for.', 'sum')
  const leaked = gauge('resilience_calls_leaked', 'Calls still running after their caller was answered.', 'sum')
  const state = gauge('resilience_breaker_state', 'State of the breaker: 0 closed, 1 half-open, 2 open, 3 isolated.')
  const queued = gauge('resilience_bulkhead_queued', 'Calls waiting for a slot.', 'sum')
  const slots = gauge('resilience_bulkhead_in_flight', 'Slots taken.', 'sum')
  const tokens = gauge('resilience_retry_budget_tokens', 'Retries that the budget would pay for.')

  return table.onCollect(function readAll() {
    for (const metric of [calls, running, leaked, state, queued, slots, tokens]) metric.clear()
    for (const { name, succeeded, failed, breaker, bulkhead, retryBudget, ...now } of pipelines.snapshots()) {
      calls.child(name, 'succeeded').inc(succeeded)
      calls.child(name, 'failed').inc(failed)
      running.child(name).inc(now.running)
      leaked.child(name).inc(now.leaked)
      if (breaker) state.child(name).set(BREAKER_STATES[breaker.state])
      if (bulkhead) queued.child(name).inc(bulkhead.queued)
      if (bulkhead) slots.child(name).inc(bulkhead.inFlight)
      if (retryBudget) tokens.child(name).set(retryBudget.tokens)
    }
  })
}
