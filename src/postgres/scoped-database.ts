/** Queries and transactions on behalf of one scope; cheap enough to make one per request. */
import { isKeelsonError } from '../core/errors.ts'
import { atLeast, integerAtLeast, oneOf, optional, resolveOptions } from '../core/options.ts'
import type { Connections } from './connections.ts'
import type { DatabaseCounters } from './databases.ts'
import { ProvidedQueryable, type Queryable } from './queryable.ts'
import { ScopedProvider, type Scope } from './scope.ts'
import type { Statement } from './session.ts'
import { sqlstateOf } from './sqlstate.ts'
import type { Tables } from './tables.ts'
import { TransactionAttempt, type Transaction, type TransactionContext } from './transaction.ts'

export interface TransactionOptions {
  /** Default: the server's, which is `read committed` unless it was changed. */
  readonly isolationLevel?: 'read committed' | 'repeatable read' | 'serializable' | undefined
  /** Default: false. */
  readonly readOnly: boolean
  /** How often the closure runs again after a serialization failure or a deadlock. Default: 3. */
  readonly retries: number
  /** Ceiling of the first retry's delay, in milliseconds; it doubles per retry. Default: 5. */
  readonly baseDelayMs: number
  /** Ceiling of any retry's delay, in milliseconds. Default: 200. */
  readonly maxDelayMs: number
}

export const TRANSACTION_DEFAULTS: TransactionOptions = { readOnly: false, retries: 3, baseDelayMs: 5, maxDelayMs: 200 }

/** A database on behalf of one scope: queries outside `transaction()` never keep a connection. */
export interface ScopedDatabase<DB = Tables> extends Queryable<DB> {
  /**
   * Runs `fn` in one transaction, committed when it resolves and rolled back when it throws. It runs again, on a
   * fresh snapshot, after a serialization failure or deadlock, so it must have no effects outside the database:
   * those belong in `tx.afterCommit`.
   * @throws what `fn` throws; the scope's `signal.reason`; `KEELSON_COMMIT_UNKNOWN` when the answer to COMMIT was lost.
   */
  transaction<T>(fn: (tx: Transaction<DB>) => Promise<T>, options?: Partial<TransactionOptions>): Promise<T>
}

/** What one database gives to all its scopes. */
export interface ScopeContext extends TransactionContext {
  readonly connections: Connections
  readonly counters: DatabaseCounters
  readonly random: () => number
}

export class PooledScope<DB> extends ProvidedQueryable<DB> implements ScopedDatabase<DB> {
  readonly #context: ScopeContext
  readonly #scope: Scope

  constructor(context: ScopeContext, scope: Scope) {
    super(new ScopedProvider(context.connections, scope))
    this.#context = context
    this.#scope = scope
  }

  async transaction<T>(fn: (tx: Transaction<DB>) => Promise<T>, given?: Partial<TransactionOptions>): Promise<T> {
    const options = resolveTransactionOptions(given)
    const begin = beginStatement(options)
    for (let attempt = 1; ; attempt++) {
      const { signal } = this.#scope
      const session = await this.#context.connections.acquire(signal)
      const transaction = new TransactionAttempt<DB>(session, signal, this.#context)
      try {
        return await transaction.run(begin, fn)
      } catch (error) {
        const sqlstate = reasonToRetry(error, transaction.failure)
        if (!sqlstate || attempt > options.retries) throw error
        await this.#pauseBeforeRetry(attempt, options, { sqlstate, error })
      }
    }
  }

  /** Full jitter: random(0, min(maxDelayMs, baseDelayMs * 2^n)). @throws the attempt's error when no time is left. */
  async #pauseBeforeRetry(attempt: number, options: TransactionOptions, failed: Failed): Promise<void> {
    const { clock, counters, emit, random, source } = this.#context
    const delayMs = random() * Math.min(options.maxDelayMs, options.baseDelayMs * 2 ** (attempt - 1))
    if (this.#scope.remainingMs <= delayMs) throw failed.error
    counters.transactionRetries++
    emit({ type: 'transaction.retried', source, attempt, delayMs, sqlstate: failed.sqlstate })
    await clock.sleep(delayMs, this.#scope.signal)
  }
}

interface Failed {
  readonly sqlstate: string
  readonly error: unknown
}

/** The SQLSTATE that makes another try worth while. The closure may have wrapped or swallowed it, so `failure` is asked too. */
function reasonToRetry(error: unknown, failure: unknown): string | undefined {
  // A failure that a savepoint took back says nothing about the COMMIT, which may have done its work.
  if (isKeelsonError(error, 'KEELSON_COMMIT_UNKNOWN')) return undefined
  return contention(error) ?? contention(failure)
}

function contention(error: unknown): string | undefined {
  const sqlstate = sqlstateOf(error)
  return sqlstate === '40001' || sqlstate === '40P01' ? sqlstate : undefined
}

function resolveTransactionOptions(given: Partial<TransactionOptions> | undefined): TransactionOptions {
  if (!given) return TRANSACTION_DEFAULTS
  return resolveOptions('transaction', TRANSACTION_DEFAULTS, given, {
    isolationLevel: optional(oneOf('read committed', 'repeatable read', 'serializable')),
    readOnly: oneOf(true, false),
    retries: integerAtLeast(0),
    baseDelayMs: atLeast(0),
    maxDelayMs: atLeast(0),
  })
}

function beginStatement({ isolationLevel, readOnly }: TransactionOptions): Statement {
  const level = isolationLevel ? ` isolation level ${isolationLevel}` : ''
  return { sql: `begin${level}${readOnly ? ' read only' : ''}`, parameters: [] }
}
