/** What a log destination reports about itself. Channel: `keelson:logging`. */
import type { TelemetryEvent } from '../../core/telemetry.ts'

export const LOGGING_CHANNEL = 'keelson:logging'

/** The buffer is full: lines are being dropped. */
export interface LogOverflowed extends TelemetryEvent {
  readonly type: 'log.overflowed'
  readonly bufferedBytes: number
  /** The system's code of the failing write, e.g. `EAGAIN` where the reader stopped. */
  readonly reason: string | undefined
}

/** A write failed; it is tried again. */
export interface LogFailed extends TelemetryEvent {
  readonly type: 'log.failed'
  readonly code: string
}

/** Lines are written again. */
export interface LogRecovered extends TelemetryEvent {
  readonly type: 'log.recovered'
  /** Lines lost since the buffer was full. */
  readonly dropped: number
}

export type LoggingEvent = LogOverflowed | LogFailed | LogRecovered
