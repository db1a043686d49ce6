/**
 * One transaction: BEGIN … COMMIT on one connection, and what can go wrong in between.
 * Serialization failures and deadlocks are reported by whichever statement meets them, COMMIT included; the answer
 * is to run the whole closure again on a fresh snapshot
 * (https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html).
 */
import { SingleConnectionProvider, type ConnectionProvider, type DatabaseConnection } from 'kysely'
import { NEVER, untilAborted } from '../core/abort.ts'
import type { Clock } from '../core/clock.ts'
import { createDeadline } from '../core/deadline.ts'
import { isKeelsonError, KeelsonError } from '../core/errors.ts'
import type { Listener } from '../core/telemetry.ts'
import type { PostgresEvent } from './events.ts'
import { ProvidedQueryable, type Queryable } from './queryable.ts'
import { SessionConnection } from './session-connection.ts'
import { SETTLE_WITHIN_MS, type Session, type Statement } from './session.ts'
import { endsSession } from './sqlstate.ts'
import type { Tables } from './tables.ts'

/** How long an aborted caller waits for the answer to a COMMIT that is under way, in milliseconds. */
const COMMIT_GRACE_MS = 100

const COMMIT: Statement = { sql: 'commit', parameters: [] }
const ROLLBACK: Statement = { sql: 'rollback', parameters: [] }

/** What the closure gets. It ends with the closure: a later statement is refused. */
export interface Transaction<DB = Tables> extends Queryable<DB> {
  /**
   * Runs `fn` once the transaction is committed, before `transaction()` resolves; for what must not happen
   * otherwise, such as sending a message. Functions run in order; one that throws is reported, not thrown.
   * @throws KeelsonError `KEELSON_TRANSACTION_OVER` when the transaction has ended.
   */
  afterCommit(fn: AfterCommit, options?: AfterCommitOptions): void
}

export type AfterCommit = () => void | Promise<void>

export interface AfterCommitOptions {
  /**
   * Runs the function also when the answer to COMMIT was lost; for what does no harm if the transaction was rolled
   * back, and harm if it is left out, such as invalidating a cache. Default: false.
   */
  readonly evenIfUnknown?: boolean | undefined
}

interface Hook {
  readonly fn: AfterCommit
  readonly evenIfUnknown: boolean
}

export interface TransactionContext {
  readonly source: string
  readonly clock: Clock
  readonly emit: Listener<PostgresEvent>
}

/** One try of a transaction, on a session that is its own until it ends. */
export class TransactionAttempt<DB> {
  /** The first statement that failed: after it the server only takes a ROLLBACK, whatever the closure says. */
  failure: unknown
  readonly #session: Session
  readonly #signal: AbortSignal
  readonly #context: TransactionContext
  readonly #line: SingleConnectionProvider
  readonly #hooks: Hook[] = []
  #open = true
  #commitSent = false
  #unknownOutcome: KeelsonError<'KEELSON_COMMIT_UNKNOWN'> | undefined

  constructor(session: Session, signal: AbortSignal, context: TransactionContext) {
    this.#session = session
    this.#signal = signal
    this.#context = context
    this.#line = new SingleConnectionProvider(new SessionConnection(session, signal))
  }

  /** @throws what `fn` or a statement throws; `signal.reason`; `KEELSON_COMMIT_UNKNOWN`. */
  async run<T>(begin: Statement, fn: (tx: Transaction<DB>) => Promise<T>): Promise<T> {
    let result: T
    try {
      await this.#session.run(begin, this.#signal)
      result = await untilAborted(fn(this.#handle()), this.#signal)
      this.#signal.throwIfAborted()
    } catch (error) {
      this.#open = false
      const ending = this.#rollBack()
      await untilAborted(ending, this.#signal).catch(noop)
      throw error
    }
    await this.#commit()
    return result
  }

  #handle(): Transaction<DB> {
    return new TransactionHandle<DB>(this, (hook) => {
      this.#assertOpen()
      this.#hooks.push(hook)
    })
  }

  /** One statement at a time, in the order they were asked for. */
  async provideConnection<T>(consumer: (connection: DatabaseConnection) => Promise<T>): Promise<T> {
    this.#assertOpen()
    return await this.#line.provideConnection(async (connection) => {
      try {
        this.#assertOpen()
        return await consumer(connection)
      } catch (error) {
        this.failure ??= error
        throw error
      }
    })
  }

  #assertOpen(): void {
    if (this.#open) return
    if (this.#signal.aborted) throw this.#signal.reason
    throw new KeelsonError('KEELSON_TRANSACTION_OVER', 'internal', 'the transaction has ended: await all its work inside it')
  }

  async #commit(): Promise<void> {
    const committed = this.#line.provideConnection(() => this.#sendCommit()).finally(() => void this.#session.release())
    const hooks = committed.then(
      () => this.#runHooks(this.#hooks),
      (error: unknown) => {
        if (isKeelsonError(error, 'KEELSON_COMMIT_UNKNOWN')) return this.#runHooks(this.#hooks.filter(evenIfUnknown))
      },
    )
    try {
      await this.#untilKnown(committed)
    } finally {
      // The outcome stands: whoever stops waiting for the hooks must not be told otherwise.
      await untilAborted(hooks, this.#signal).catch(noop)
    }
  }

  async #sendCommit(): Promise<void> {
    this.#open = false
    await this.#session.settled()
    this.#signal.throwIfAborted()
    this.#commitSent = true
    // Not under the scope's signal: a COMMIT that is cancelled may have committed all the same.
    const { command } = await this.#session.run(COMMIT, NEVER).catch((error: unknown) => {
      throw endsSession(error) ? this.#unknown(error) : error
    })
    // The server answers ROLLBACK when a statement failed and the closure went on as if it had not.
    if (command === 'ROLLBACK') throw this.#swallowed()
  }

  /** When the caller's time is up while COMMIT runs: waits a moment longer for the truth, then says that it is unknown. */
  async #untilKnown(committed: Promise<void>): Promise<void> {
    try {
      return await untilAborted(committed, this.#signal)
    } catch (error) {
      if (!this.#signal.aborted || !this.#commitSent) throw error
    }
    const { clock } = this.#context
    const patience = clock.after(SETTLE_WITHIN_MS, () => this.#session.destroy())
    void committed.catch(noop).then(() => patience[Symbol.dispose]())
    using grace = createDeadline({ timeoutMs: COMMIT_GRACE_MS, clock })
    try {
      await untilAborted(committed, grace.signal)
    } catch (error) {
      throw error === grace.signal.reason ? this.#unknown(this.#signal.reason) : error
    }
  }

  #swallowed(): unknown {
    return (this.failure ??= new KeelsonError('KEELSON_TRANSACTION_FAILED', 'internal', 'the transaction was rolled back'))
  }

  /** Said once, though both the end of the scope and a lost connection may lead here. */
  #unknown(cause: unknown): KeelsonError<'KEELSON_COMMIT_UNKNOWN'> {
    if (this.#unknownOutcome) return this.#unknownOutcome
    const { emit, source } = this.#context
    emit({ type: 'commit.unknown', source, error: cause })
    const message = 'COMMIT was sent, but its answer did not come: the transaction may or may not be committed'
    this.#unknownOutcome = new KeelsonError('KEELSON_COMMIT_UNKNOWN', 'unavailable', message, { cause, retryable: false })
    return this.#unknownOutcome
  }

  async #runHooks(hooks: readonly Hook[]): Promise<void> {
    for (const { fn } of hooks) {
      try {
        await fn()
      } catch (error) {
        this.#context.emit({ type: 'hook.failed', source: this.#context.source, error })
      }
    }
  }

  /** In line behind a statement that the closure left running; those that wait behind it find the transaction over. */
  async #rollBack(): Promise<void> {
    await this.#line.provideConnection(async () => {
      await this.#session.settled()
      if (this.#session.discarded) return
      using limit = createDeadline({ timeoutMs: SETTLE_WITHIN_MS, clock: this.#context.clock })
      await this.#session.run(ROLLBACK, limit.signal).catch(() => this.#session.discard('broken'))
    })
    await this.#session.release()
  }
}

class TransactionHandle<DB> extends ProvidedQueryable<DB> implements Transaction<DB> {
  readonly #onCommit: (hook: Hook) => void

  constructor(provider: ConnectionProvider, onCommit: (hook: Hook) => void) {
    super(provider)
    this.#onCommit = onCommit
  }

  afterCommit(fn: AfterCommit, { evenIfUnknown = false }: AfterCommitOptions = {}): void {
    this.#onCommit({ fn, evenIfUnknown })
  }

  /** Not in the type; here for callers that took a transaction for a database. */
  transaction(): never {
    throw new KeelsonError('KEELSON_TRANSACTION_NESTED', 'internal', 'transaction() inside a transaction: pass `tx` on instead')
  }
}

function evenIfUnknown(hook: Hook): boolean {
  return hook.evenIfUnknown
}

function noop(): void {}
