/** For whom statements run: a request's deadline, a cache load, or nobody in particular. */
import type { ConnectionProvider, DatabaseConnection } from 'kysely'
import { linkSignal, NEVER, onAbort } from '../core/abort.ts'
import type { Connections } from './connections.ts'
import { SessionConnection } from './session-connection.ts'

/** Whoever asks for the work; `request.deadline` is one, and so is what a cache hands to its loader. */
export interface Scope {
  /** When it aborts, waiting ends and running statements are cancelled. Read when the first statement runs. */
  readonly signal: AbortSignal
  /** Milliseconds left; no retry starts that would end later. */
  readonly remainingMs: number
}

/** The scope of a migration or a job. */
export const UNSCOPED: Scope = { signal: NEVER, remainingMs: Infinity }

type Consumer<T> = (connection: DatabaseConnection) => Promise<T>

/** Lends a pooled connection for each statement, and takes it back as soon as it is safe. */
export class ScopedProvider implements ConnectionProvider {
  readonly #connections: Connections
  readonly #scope: Scope

  constructor(connections: Connections, scope: Scope) {
    this.#connections = connections
    this.#scope = scope
  }

  async provideConnection<T>(consumer: Consumer<T>, options?: { readonly signal?: AbortSignal | undefined }): Promise<T> {
    const { signal } = this.#scope
    const session = await (options?.signal ? this.#acquireUntil(options.signal) : this.#connections.acquire(signal))
    try {
      return await consumer(new SessionConnection(session, signal))
    } finally {
      void session.release()
    }
  }

  async #acquireUntil(own: AbortSignal): ReturnType<Connections['acquire']> {
    using linked = linkSignal(this.#scope.signal)
    using _own = onAbort(own, (reason) => linked.abort(reason))
    return await this.#connections.acquire(linked.signal)
  }
}
