/**
 * One connection while somebody has it: runs statements under a signal, and knows when it is safe to hand on.
 * A CancelRequest hits a connection, not a statement, and may arrive late; so after an abort the connection is
 * kept back until the statement *and* every cancel request have ended
 * (https://github.com/brianc/node-postgres/issues/2774).
 */
import type pg from 'pg'
import { onAbort } from '../core/abort.ts'
import type { Clock } from '../core/clock.ts'
import { createDeadline } from '../core/deadline.ts'
import type { KeelsonError } from '../core/errors.ts'
import type { Listener } from '../core/telemetry.ts'
import { sendCancelRequest } from './cancel-request.ts'
import type { DatabaseCounters } from './databases.ts'
import type { ConnectionDiscarded, PostgresEvent } from './events.ts'
import type { Gate } from './gate.ts'
import { endsSession, toDatabaseError } from './sqlstate.ts'

/** How long a cancelled statement, or a ROLLBACK, may take before its connection is destroyed, in milliseconds. */
export const SETTLE_WITHIN_MS = 5_000

/** A cancel that arrives before its statement started is lost: look again after this long, then twice as long. */
const FIRST_LOOK_MS = 10
const LAST_LOOK_MS = 1_000

export interface Statement {
  readonly sql: string
  readonly parameters: readonly unknown[]
}

/** What all sessions of one database share. */
export interface SessionContext {
  readonly source: string
  readonly clock: Clock
  readonly emit: Listener<PostgresEvent>
  readonly counters: DatabaseCounters
  readonly cancelGate: Gate
}

export class Session {
  readonly client: pg.Client
  readonly #context: SessionContext
  readonly #giveBack: (reusable: boolean) => void
  #stopping: Promise<void> | undefined
  #discarded: ConnectionDiscarded['reason'] | undefined

  /** @param giveBack called once, when the session was released and nothing runs on it any more. */
  constructor(client: pg.Client, context: SessionContext, giveBack: (reusable: boolean) => void) {
    this.client = client
    this.#context = context
    this.#giveBack = giveBack
  }

  /**
   * Runs one statement. When `signal` aborts, rejects at once with its reason while the statement is being cancelled.
   * @throws a database error (see `toDatabaseError`), or `signal.reason`.
   */
  run({ sql, parameters }: Statement, signal: AbortSignal): Promise<pg.QueryResult> {
    if (signal.aborted) return Promise.reject(signal.reason)
    const { promise, resolve, reject } = Promise.withResolvers<pg.QueryResult>()
    this.#context.counters.statements++
    const work = this.client.query(sql, parameters as unknown[])
    let aborted = false
    const listening = onAbort(signal, (reason) => {
      aborted = true
      this.#stopping = this.#stop(work)
      reject(reason)
    })
    work.then(
      (result) => {
        listening[Symbol.dispose]()
        this.#context.counters.succeeded++
        resolve(result)
      },
      (error: unknown) => {
        listening[Symbol.dispose]()
        if (endsSession(error)) this.discard('broken')
        if (!aborted) reject(this.#failed(error))
      },
    )
    return promise
  }

  /** Resolves when no aborted statement, and no cancel request for one, is under way; at most {@link SETTLE_WITHIN_MS}. */
  settled(): Promise<void> {
    return this.#stopping ?? Promise.resolve()
  }

  /** True when the connection can't be used any more. */
  get discarded(): boolean {
    return this.#discarded !== undefined
  }

  /** Gives the connection up: it will be closed, whatever runs on it. */
  discard(reason: ConnectionDiscarded['reason']): void {
    if (this.#discarded) return
    this.#discarded = reason
    this.#context.emit({ type: 'connection.discarded', source: this.#context.source, reason })
  }

  /** Closes the socket under whatever runs. */
  destroy(): void {
    this.discard('unsettled')
    this.client.connection.stream.destroy()
  }

  /** Hands the connection back as soon as it is safe; resolves then. */
  async release(): Promise<void> {
    if (this.#stopping) await this.#stopping
    // The status is known from the last ReadyForQuery; after a failed statement outside a transaction it still holds.
    if (!this.#discarded && this.client.getTransactionStatus() !== 'I') this.discard('in_transaction')
    this.#giveBack(!this.#discarded)
  }

  #failed(cause: unknown): KeelsonError {
    const { counters, emit, source } = this.#context
    const error = toDatabaseError(cause)
    const { code, kind, details } = error
    counters.errors[kind] = (counters.errors[kind] ?? 0) + 1
    emit({ type: 'statement.failed', source, code, kind, sqlstate: details['sqlstate'] as string | undefined })
    return error
  }

  async #stop(work: Promise<unknown>): Promise<void> {
    const { clock, counters, emit, source } = this.#context
    const startedAt = clock.now()
    counters.cancellations++
    using limit = createDeadline({ timeoutMs: SETTLE_WITHIN_MS, clock })
    let running = true
    const ended = work.then(noop, noop).then(() => {
      running = false
    })
    try {
      for (let lookMs = FIRST_LOOK_MS; running; lookMs = Math.min(LAST_LOOK_MS, 2 * lookMs)) {
        await this.#cancel(() => running, limit.signal)
        await endedWithin(ended, lookMs, clock)
      }
      emit({ type: 'statement.cancelled', source, settledAfterMs: clock.now() - startedAt })
    } catch {
      this.discard('unsettled')
    }
  }

  async #cancel(running: () => boolean, signal: AbortSignal): Promise<void> {
    await this.#context.cancelGate.enter(signal)
    try {
      if (running()) await sendCancelRequest(this.client, signal)
    } finally {
      this.#context.cancelGate.leave()
    }
  }
}

function endedWithin(ended: Promise<void>, ms: number, clock: Clock): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = clock.after(ms, resolve)
  void ended.then(resolve)
  return promise.finally(() => timer[Symbol.dispose]())
}

function noop(): void {}
