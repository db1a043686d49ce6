/** A Postgres database: one bounded pool, used through scopes that can end at any moment. */
import pg from 'pg'
import { linkSignal, NEVER, onAbort } from '../core/abort.ts'
import { createEmitter } from '../core/telemetry.ts'
import { Connections } from './connections.ts'
import {
  clientConfig,
  createPool,
  NO_LIMITS,
  resolveDatabaseOptions,
  targetOf,
  type DatabaseOptions,
  type Target,
} from './database-options.ts'
import { databases, zeroCounters, type DatabaseCounters, type DatabaseSnapshot } from './databases.ts'
import { POSTGRES_CHANNEL, type PostgresEvent } from './events.ts'
import { Gate } from './gate.ts'
import { poolProblem } from './pool-fit.ts'
import { untilReachable, type ReachOptions } from './reachable.ts'
import { PooledScope, type ScopeContext, type ScopedDatabase } from './scoped-database.ts'
import { UNSCOPED, type Scope } from './scope.ts'
import { Session, type SessionContext } from './session.ts'
import { toDatabaseError } from './sqlstate.ts'
import type { Tables } from './tables.ts'

/** How long closing connections may take to say goodbye, in milliseconds. */
const GOODBYE_MS = 1_000

/** Without a scope (migrations, jobs) the session's `statement_timeout` is the only limit. */
export interface Database<DB = Tables> extends ScopedDatabase<DB>, AsyncDisposable {
  readonly name: string
  /** The same database on behalf of `scope`. Takes no connection until a statement runs. */
  within(scope: Scope): ScopedDatabase<DB>
  /** Asks the server for a sign of life. @throws a database error, or `signal.reason`. */
  ping(signal?: AbortSignal): Promise<void>
  /**
   * Resolves when the server answers; until then tries again, ever more slowly.
   * @throws `signal.reason`; `KEELSON_DB_CLOSED` when the database is closed meanwhile.
   */
  whenReachable(options?: ReachOptions): Promise<void>
  /**
   * Compares `total`, the connections of all pools that share this server, with what the server allows.
   * @returns the problem as a sentence, or nothing.
   */
  checkPoolFits(options: { readonly total: number; readonly signal?: AbortSignal | undefined }): Promise<string | undefined>
  snapshot(): DatabaseSnapshot
  /** Lets what runs finish, refuses what waits, closes every connection. A pool of the caller's stays open. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * @throws KeelsonError `KEELSON_CONFIG_INVALID`. It connects only when the first statement runs.
 */
export function createDatabase<DB = Tables>(given: Partial<DatabaseOptions>): Database<DB> {
  const options = resolveDatabaseOptions(given)
  const pool = options.pool ?? createPool(options)
  const counters = zeroCounters()
  const session: SessionContext = {
    source: options.name,
    clock: options.clock,
    emit: createEmitter<PostgresEvent>(POSTGRES_CHANNEL, options.onEvent),
    counters,
    cancelGate: new Gate(Math.max(1, Math.floor(pool.options.max / 2))),
  }
  const connections = new Connections(pool, session, options.connectionTimeoutMs)
  const context: ScopeContext = { ...session, random: options.random, connections }
  return new PostgresDatabase<DB>({ pool, owned: !options.pool, target: targetOf(pool), session, context })
}

interface DatabaseParts {
  readonly pool: pg.Pool
  readonly owned: boolean
  readonly target: Target
  readonly session: SessionContext
  readonly context: ScopeContext
}

/** The class behind `createDatabase`; migrations need more of it than applications do. */
export class PostgresDatabase<DB> extends PooledScope<DB> implements Database<DB> {
  readonly name: string
  readonly context: ScopeContext
  readonly #parts: DatabaseParts
  readonly #counters: DatabaseCounters
  readonly #listing: Disposable
  readonly #clients = new Set<pg.Client>()
  readonly #onLost: (error: unknown) => void
  #closing: Promise<void> | undefined

  constructor(parts: DatabaseParts) {
    super(parts.context, UNSCOPED)
    const { context, pool } = parts
    this.#parts = parts
    this.name = context.source
    this.context = context
    this.#counters = context.counters
    this.#listing = databases.add(this)
    // Without this listener a connection that the server ends while idle would end the process.
    this.#onLost = (error) => context.emit({ type: 'connection.lost', source: this.name, error })
    pool.on('error', this.#onLost)
    if (!parts.owned) return
    pool.on('connect', (client: pg.Client) => this.#clients.add(client))
    pool.on('remove', (client: pg.Client) => this.#clients.delete(client))
  }

  within(scope: Scope): ScopedDatabase<DB> {
    return new PooledScope<DB>(this.context, scope)
  }

  async ping(signal: AbortSignal = NEVER): Promise<void> {
    const session = await this.context.connections.acquire(signal)
    try {
      await session.run({ sql: 'select 1', parameters: [] }, signal)
    } finally {
      void session.release()
    }
  }

  async whenReachable({ signal = NEVER, onWaiting }: ReachOptions = {}): Promise<void> {
    using limit = linkSignal(this.context.connections.closing)
    using _own = onAbort(signal, (reason) => limit.abort(reason))
    const context = { ...this.context, target: this.#parts.target }
    await untilReachable((until) => this.ping(until), context, { signal: limit.signal, onWaiting })
  }

  async checkPoolFits({
    total,
    signal = NEVER,
  }: {
    readonly total: number
    readonly signal?: AbortSignal | undefined
  }): Promise<string | undefined> {
    return await poolProblem(this.within({ signal, remainingMs: Infinity }), total)
  }

  snapshot(): DatabaseSnapshot {
    const { statements, succeeded, cancellations, transactionRetries, errors, acquired, acquireWaitMs } = this.#counters
    const { totalCount, idleCount, options } = this.#parts.pool
    return {
      name: this.name,
      pool: { max: options.max, total: totalCount, idle: idleCount, waiting: this.context.connections.waiting },
      statements,
      succeeded,
      cancellations,
      transactionRetries,
      errors: { ...errors },
      acquireWait: { count: acquired, sumMs: acquireWaitMs },
    }
  }

  /** A connection outside the pool, with no limits but those that its user sets; `release()` closes it. */
  async openSession(signal: AbortSignal): Promise<Session> {
    const { pool, session } = this.#parts
    const client = new pg.Client({ ...clientConfig(pool), ...NO_LIMITS })
    client.on('error', () => {})
    try {
      await client.connect()
      signal.throwIfAborted()
      return new Session(client, session, () => void client.end())
    } catch (error) {
      void client.end()
      throw signal.aborted ? error : toDatabaseError(error)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    const { owned, pool, context } = this.#parts
    this.#listing[Symbol.dispose]()
    context.connections.close()
    if (!owned) {
      pool.off('error', this.#onLost)
      return
    }
    await pool.end()
    // The pool doesn't wait for its last sockets; a server that never closes its side would hold the process up.
    using _impatience = context.clock.after(GOODBYE_MS, () => this.#clients.forEach(destroySocket))
    while (this.#clients.size > 0) await new Promise<unknown>((resolve) => pool.once('remove', resolve))
  }
}

function destroySocket(client: pg.Client): void {
  client.connection.stream.destroy()
}
