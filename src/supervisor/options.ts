/** What running a service takes, with an arbiter or without. */
import type { Clock } from '../core/clock.ts'
import { atLeast, type Check } from '../core/options.ts'
import type { Listener as EventListener } from '../core/telemetry.ts'
import type { AdminOptions } from './admin.ts'
import type { SupervisorEvent } from './events.ts'
import type { ListenAddress } from './listener.ts'

/** What can be left out. */
export interface StopOptions {
  /**
   * After SIGTERM: how long to go on accepting while readiness is already false, in milliseconds, because load
   * balancers learn of it late. Default: 5_000.
   */
  readonly drainDelayMs: number
  /** How long requests may take to end once nothing is accepted any more, in milliseconds. Default: 20_000. */
  readonly drainTimeoutMs: number
  /** How long a draining connection may be quiet before it is ended, in milliseconds. Default: 5_000. */
  readonly idleGraceMs: number
  /** Whether to act on the signals of this process. Default: true. */
  readonly handleSignals: boolean
}

export const STOP_DEFAULTS: StopOptions = {
  drainDelayMs: 5_000,
  drainTimeoutMs: 20_000,
  idleGraceMs: 5_000,
  handleSignals: true,
}

/** What a service gets to close after its drain, before it is killed, in milliseconds. */
export const CLOSE_MS = 2_000

export const STOP_CHECKS: Readonly<Record<'drainDelayMs' | 'drainTimeoutMs' | 'idleGraceMs', Check>> = {
  drainDelayMs: atLeast(0),
  drainTimeoutMs: atLeast(0),
  idleGraceMs: atLeast(0),
}

/** What must be said. */
export interface RunOptions extends Partial<StopOptions> {
  /** Where the service listens. */
  readonly listen: ListenAddress
  /** Where probes and pages are served. */
  readonly admin: AdminOptions
  /** Default: the system's. */
  readonly clock?: Clock | undefined
  /** Receives this supervisor's events, besides the channel `keelson:supervisor`. */
  readonly onEvent?: EventListener<SupervisorEvent> | undefined
}
