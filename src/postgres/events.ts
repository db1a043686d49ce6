/** Everything the Postgres module reports. Channel: `keelson:postgres`. */
import type { ErrorKind } from '../core/errors.ts'
import type { TelemetryEvent } from '../core/telemetry.ts'

export const POSTGRES_CHANNEL = 'keelson:postgres'

/** A pooled connection died while nobody used it; the pool replaces it when needed. */
export interface ConnectionLost extends TelemetryEvent {
  readonly type: 'connection.lost'
  readonly error: unknown
}

/** A connection was closed instead of returned to the pool. */
export interface ConnectionDiscarded extends TelemetryEvent {
  readonly type: 'connection.discarded'
  /** `broken`: its socket or session failed; `unsettled`: a cancelled statement did not end; `in_transaction`: left open. */
  readonly reason: 'broken' | 'unsettled' | 'in_transaction'
}

/** A caller had to wait for a free connection, and got one. */
export interface PoolWaited extends TelemetryEvent {
  readonly type: 'pool.waited'
  readonly waitMs: number
}

export interface StatementFailed extends TelemetryEvent {
  readonly type: 'statement.failed'
  readonly code: string
  readonly kind: ErrorKind
  readonly sqlstate: string | undefined
}

/** The scope ended while a statement ran. */
export interface StatementCancelled extends TelemetryEvent {
  readonly type: 'statement.cancelled'
  /** From the abort until the statement and its cancel requests had ended, in milliseconds. */
  readonly settledAfterMs: number
}

export interface TransactionRetried extends TelemetryEvent {
  readonly type: 'transaction.retried'
  /** The try that just failed; 1 is the first. */
  readonly attempt: number
  readonly delayMs: number
  readonly sqlstate: string
}

/** COMMIT was sent and its answer never came. */
export interface CommitUnknown extends TelemetryEvent {
  readonly type: 'commit.unknown'
  readonly error: unknown
}

/** An `afterCommit` function threw; the outcome of the transaction stays what it was. */
export interface HookFailed extends TelemetryEvent {
  readonly type: 'hook.failed'
  readonly error: unknown
}

/** Said once per change of reason, not once per try. */
export interface DatabaseUnreachable extends TelemetryEvent {
  readonly type: 'database.unreachable'
  readonly host: string
  readonly database: string
  readonly reason: string
  readonly attempt: number
}

export interface DatabaseReached extends TelemetryEvent {
  readonly type: 'database.reached'
  readonly host: string
  readonly database: string
  readonly afterMs: number
}

/** Another process migrates the same database. */
export interface MigrationWaiting extends TelemetryEvent {
  readonly type: 'migration.waiting'
}

/** A migration needed a lock that others hold; it stepped back and tries again. */
export interface MigrationBlocked extends TelemetryEvent {
  readonly type: 'migration.blocked'
  readonly migration: string
  readonly attempt: number
  readonly delayMs: number
}

export interface MigrationApplied extends TelemetryEvent {
  readonly type: 'migration.applied'
  readonly migration: string
  readonly durationMs: number
}

export type PostgresEvent =
  | ConnectionLost
  | ConnectionDiscarded
  | PoolWaited
  | StatementFailed
  | StatementCancelled
  | TransactionRetried
  | CommitUnknown
  | HookFailed
  | DatabaseUnreachable
  | DatabaseReached
  | MigrationWaiting
  | MigrationBlocked
  | MigrationApplied
