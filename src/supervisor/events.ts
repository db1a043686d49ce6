/** Everything the supervisor reports. Channel: `keelson:supervisor`. */
import type { TelemetryEvent } from '../core/telemetry.ts'
import type { AddressInfo } from 'node:net'
import type { ErrorSummary } from './protocol.ts'
import type { SupervisorSignal } from './signals.ts'

export const SUPERVISOR_CHANNEL = 'keelson:supervisor'

/** Where the two listeners really listen. */
export interface Addresses {
  /** `undefined` until the service listens, without an arbiter. */
  readonly public: AddressInfo | undefined
  readonly admin: AddressInfo
}

/** Both listeners are bound; the first worker starts. */
export interface ArbiterStarted extends TelemetryEvent {
  readonly type: 'arbiter.started'
  readonly addresses: Addresses
  readonly workers: number
}

/** For the first time a worker can take requests. */
export interface ArbiterReady extends TelemetryEvent {
  readonly type: 'arbiter.ready'
  /** Since the arbiter was created, in milliseconds. */
  readonly startupMs: number
}

/** Stopping has begun: readiness is false, connections are still accepted for `delayMs`. */
export interface ArbiterDraining extends TelemetryEvent {
  readonly type: 'arbiter.draining'
  readonly delayMs: number
  readonly timeoutMs: number
}

/** The workers have been told to drain; nothing is accepted any more. */
export interface ArbiterStopping extends TelemetryEvent {
  readonly type: 'arbiter.stopping'
  readonly workers: number
}

export interface ArbiterStopped extends TelemetryEvent {
  readonly type: 'arbiter.stopped'
  readonly exitCode: number
}

/** Nothing ever became ready, or the configuration is wrong: no further try. */
export interface ArbiterGaveUp extends TelemetryEvent {
  readonly type: 'arbiter.gave_up'
  /** Failures in a row. */
  readonly failures: number
  readonly reason: 'config' | 'crash_loop'
}

export interface WorkerStarted extends TelemetryEvent {
  readonly type: 'worker.started'
  readonly worker: number
  readonly pid: number | undefined
}

/** The worker's service has started and accepts connections. */
export interface WorkerBooted extends TelemetryEvent {
  readonly type: 'worker.booted'
  readonly worker: number
  readonly bootMs: number
}

export interface WorkerBootFailed extends TelemetryEvent {
  readonly type: 'worker.boot_failed'
  readonly worker: number
  readonly error: ErrorSummary
}

export interface WorkerReady extends TelemetryEvent {
  readonly type: 'worker.ready'
  readonly worker: number
}

export interface WorkerUnready extends TelemetryEvent {
  readonly type: 'worker.unready'
  readonly worker: number
  readonly reasons: readonly string[]
}

/** A stray exception or rejection; the worker drains and is replaced. */
export interface WorkerFailing extends TelemetryEvent {
  readonly type: 'worker.failing'
  readonly worker: number
  readonly error: ErrorSummary
}

/** The worker's last connection has ended, or what was left has been cut. */
export interface WorkerDrained extends TelemetryEvent {
  readonly type: 'worker.drained'
  readonly worker: number
  readonly cutRequests: number
  readonly cutConnections: number
}

export interface WorkerExited extends TelemetryEvent {
  readonly type: 'worker.exited'
  readonly worker: number
  readonly pid: number | undefined
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** Whether it had been asked to leave. */
  readonly expected: boolean
  readonly lifetimeMs: number
  /** What an operator might look at first. */
  readonly hint: string | undefined
}

/** The arbiter sent SIGKILL. */
export interface WorkerKilled extends TelemetryEvent {
  readonly type: 'worker.killed'
  readonly worker: number
  readonly reason: 'drain_timeout' | 'quit'
}

/** The next start waits. */
export interface RestartDelayed extends TelemetryEvent {
  readonly type: 'restart.delayed'
  readonly delayMs: number
  /** Failures in a row. */
  readonly failures: number
}

export interface SignalReceived extends TelemetryEvent {
  readonly type: 'signal.received'
  readonly signal: SupervisorSignal
}

/** The signal has no effect: not built, or not for this state. */
export interface SignalIgnored extends TelemetryEvent {
  readonly type: 'signal.ignored'
  readonly signal: SupervisorSignal
}

/** The number of workers aimed at has changed. */
export interface ScaleChanged extends TelemetryEvent {
  readonly type: 'scale.changed'
  readonly workers: number
}

/** An admin page threw; its reader got a 500. */
export interface PageFailed extends TelemetryEvent {
  readonly type: 'page.failed'
  readonly path: string
  readonly error: ErrorSummary
}

export type SupervisorEvent =
  | ArbiterStarted
  | ArbiterReady
  | ArbiterDraining
  | ArbiterStopping
  | ArbiterStopped
  | ArbiterGaveUp
  | WorkerStarted
  | WorkerBooted
  | WorkerBootFailed
  | WorkerReady
  | WorkerUnready
  | WorkerFailing
  | WorkerDrained
  | WorkerExited
  | WorkerKilled
  | RestartDelayed
  | SignalReceived
  | SignalIgnored
  | ScaleChanged
  | PageFailed
