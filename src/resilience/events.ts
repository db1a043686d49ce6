/** Everything the resilience engine reports. Channel: `keelson:resilience`; `source` is the pipeline's name. */
import type { TelemetryEvent } from '../core/telemetry.ts'
import type { TimeoutScope } from './errors.ts'

export const RESILIENCE_CHANNEL = 'keelson:resilience'

export interface RetryScheduled extends TelemetryEvent {
  readonly type: 'retry.scheduled'
  /** The attempt that just failed; 1 is the first. */
  readonly attempt: number
  readonly delayMs: number
  readonly error: unknown
}

/** Why an error that another attempt might have cured was not given one. */
export type RetryDenial = 'attempts' | 'unsafe' | 'retry-after' | 'deadline' | 'budget'

export interface RetryDenied extends TelemetryEvent {
  readonly type: 'retry.denied'
  readonly attempt: number
  /**
   * `attempts`: all used · `unsafe`: it may have taken effect, and `repeat` is `never` · `retry-after`: the dependency
   * asked for too long a pause · `deadline`: no time for another · `budget`: too few successes to pay for it.
   */
  readonly reason: RetryDenial
  readonly error: unknown
}

export interface BreakerOpened extends TelemetryEvent {
  readonly type: 'breaker.opened'
  readonly reason: 'failures' | 'slow-calls' | 'probes' | 'isolated'
  /** Until probes are let through, in milliseconds; `Infinity` when isolated by hand. */
  readonly openMs: number
  /** Calls, failures and slow calls that were counted. */
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

export interface BreakerHalfOpened extends TelemetryEvent {
  readonly type: 'breaker.half-opened'
}

export interface BreakerClosed extends TelemetryEvent {
  readonly type: 'breaker.closed'
  readonly reason: 'probes' | 'by-hand'
}

export interface BreakerRejected extends TelemetryEvent {
  readonly type: 'breaker.rejected'
  readonly state: 'open' | 'half-open' | 'isolated'
  readonly retryAfterMs: number | undefined
}

export interface BulkheadRejected extends TelemetryEvent {
  readonly type: 'bulkhead.rejected'
  readonly inFlight: number
  readonly queued: number
}

export interface TimeoutExceeded extends TelemetryEvent {
  readonly type: 'timeout.exceeded'
  readonly scope: TimeoutScope
  readonly timeoutMs: number
}

/** Work that still runs well after its caller was answered and its signal aborted. */
export interface WorkLeaked extends TelemetryEvent {
  readonly type: 'work.leaked'
  readonly attempt: number
  /** Leaked work running now, this one included. */
  readonly leaked: number
}

export interface FallbackUsed extends TelemetryEvent {
  readonly type: 'fallback.used'
  readonly error: unknown
}

export type ResilienceEvent =
  | RetryScheduled
  | RetryDenied
  | BreakerOpened
  | BreakerHalfOpened
  | BreakerClosed
  | BreakerRejected
  | BulkheadRejected
  | TimeoutExceeded
  | WorkLeaked
  | FallbackUsed
