/**
 * Lends connections. A gate of as many places as the pool has connections stands before it, so that the pool's own
 * queue, which nobody can leave, stays empty: whoever stops waiting is gone at once.
 */
import type pg from 'pg'
import { linkSignal, untilAborted } from '../core/abort.ts'
import { KeelsonError } from '../core/errors.ts'
import { Gate } from './gate.ts'
import { Session, type SessionContext } from './session.ts'
import { connectTimeout, poolTimeout, toDatabaseError } from './sqlstate.ts'

/** The pool's own limit, if it has one, comes first, because its error says more; in milliseconds. */
const POOL_FIRST_MS = 100

export class Connections {
  readonly #pool: pg.Pool
  readonly #context: SessionContext
  readonly #waitMs: number
  readonly #gate: Gate
  readonly #guarded = new WeakSet<pg.Client>()
  readonly #closing = new AbortController()

  /** @param waitMs how long a caller waits for a free connection, and then for a new one to open, before it is refused. */
  constructor(pool: pg.Pool, context: SessionContext, waitMs: number) {
    this.#pool = pool
    this.#context = context
    this.#waitMs = waitMs
    this.#gate = new Gate(pool.options.max)
  }

  /** Callers waiting for a connection. */
  get waiting(): number {
    return this.#gate.waiting
  }

  /** Aborts when nobody is served any more, for the reason that callers are refused with. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /**
   * Lends a connection; the caller must `release` it.
   * @throws `signal.reason` as soon as it aborts; `KEELSON_DB_POOL_TIMEOUT`; `KEELSON_DB_UNREACHABLE` and its like.
   */
  async acquire(signal: AbortSignal): Promise<Session> {
    signal.throwIfAborted()
    const { counters } = this.#context
    counters.acquired++
    try {
      if (!this.#gate.tryEnter()) await this.#waitInLine(signal)
      const client = await this.#connect(signal)
      return new Session(client, this.#context, (reusable) => this.#takeBack(client, reusable))
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      const error = toDatabaseError(cause)
      counters.errors[error.kind] = (counters.errors[error.kind] ?? 0) + 1
      throw error
    }
  }

  /** Refuses everybody who waits, and every later caller. */
  close(): void {
    const reason = new KeelsonError('KEELSON_DB_CLOSED', 'unavailable', `database ${this.#context.source} is closed`)
    this.#gate.close(reason)
    this.#closing.abort(reason)
  }

  async #waitInLine(signal: AbortSignal): Promise<void> {
    const { clock, counters, emit, source } = this.#context
    const startedAt = clock.now()
    using limit = linkSignal(signal)
    using _timer = clock.after(this.#waitMs, () => limit.abort(poolTimeout(this.#waitMs, this.#pool.options.max)))
    try {
      await this.#gate.enter(limit.signal)
      emit({ type: 'pool.waited', source, waitMs: clock.now() - startedAt })
    } finally {
      counters.acquireWaitMs += clock.now() - startedAt
    }
  }

  /**
   * Inside the gate: takes an idle connection or opens one. Leaves the gate when that fails or comes too late.
   * A pool of the caller's may have no limit of its own, and users beside us.
   */
  async #connect(signal: AbortSignal): Promise<pg.PoolClient> {
    const connecting = this.#pool.connect()
    using limit = linkSignal(signal)
    using _timer = this.#context.clock.after(this.#waitMs + POOL_FIRST_MS, () => limit.abort(this.#tooLong()))
    try {
      const client = await untilAborted(connecting, limit.signal)
      this.#guard(client)
      return client
    } catch (error) {
      connecting.then(
        (late) => {
          this.#guard(late)
          this.#takeBack(late, true)
        },
        () => this.#gate.leave(),
      )
      throw error
    }
  }

  #tooLong(): KeelsonError {
    const inLine = this.#pool.waitingCount > 0
    return inLine ? poolTimeout(this.#waitMs, this.#pool.options.max) : connectTimeout(this.#waitMs)
  }

  #takeBack(client: pg.PoolClient, reusable: boolean): void {
    client.release(!reusable)
    this.#gate.leave()
  }

  /** A connection that dies while lent emits `error`; without a listener that would end the process. */
  #guard(client: pg.Client): void {
    if (this.#guarded.has(client)) return
    this.#guarded.add(client)
    client.on('error', () => {})
  }
}
