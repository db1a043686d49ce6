/** Live databases by name, for health, metrics and the ops page. */
import type { ErrorKind } from '../core/errors.ts'
import { createRegistry, type Registry } from '../core/registry.ts'

export interface DatabaseSnapshot {
  readonly name: string
  readonly pool: {
    readonly max: number
    /** Connections open or being opened. */
    readonly total: number
    readonly idle: number
    /** Callers waiting for a connection. */
    readonly waiting: number
  }
  readonly statements: number
  /** Statements that the server has answered without an error; when it grows, the server is alive. */
  readonly succeeded: number
  readonly cancellations: number
  readonly transactionRetries: number
  readonly errors: Readonly<Partial<Record<ErrorKind, number>>>
  /** Waits for a connection: how many callers asked, how long they waited in all. */
  readonly acquireWait: { readonly count: number; readonly sumMs: number }
}

/** What a database counts; written by its parts, read by its snapshot. */
export interface DatabaseCounters {
  statements: number
  succeeded: number
  cancellations: number
  transactionRetries: number
  acquired: number
  acquireWaitMs: number
  readonly errors: Partial<Record<ErrorKind, number>>
}

export function zeroCounters(): DatabaseCounters {
  return {
    statements: 0,
    succeeded: 0,
    cancellations: 0,
    transactionRetries: 0,
    acquired: 0,
    acquireWaitMs: 0,
    errors: {},
  }
}

export const databases: Registry<DatabaseSnapshot> = createRegistry<DatabaseSnapshot>()
