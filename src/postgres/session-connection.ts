/** A session as Kysely wants to see it, with every statement under the scope's signal. */
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely'
import type pg from 'pg'
import { linkSignal, onAbort } from '../core/abort.ts'
import { KeelsonError } from '../core/errors.ts'
import type { Session } from './session.ts'

const CHANGES_ROWS: ReadonlySet<string> = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE'])

export class SessionConnection implements DatabaseConnection {
  readonly #session: Session
  readonly #signal: AbortSignal

  constructor(session: Session, signal: AbortSignal) {
    this.#session = session
    this.#signal = signal
  }

  async executeQuery<R>(query: CompiledQuery, options?: { readonly signal?: AbortSignal | undefined }): Promise<QueryResult<R>> {
    if (options?.signal) return this.#executeUntil(options.signal, query)
    return toQueryResult(await this.#session.run(query, this.#signal))
  }

  /**
   * A signal given to one `execute()`. Kysely has answered its caller when it aborts, and waits for this promise
   * before it gives the connection back; a rejection would only make it print to the console.
   */
  async #executeUntil<R>(own: AbortSignal, query: CompiledQuery): Promise<QueryResult<R>> {
    using linked = linkSignal(this.#signal)
    using _own = onAbort(own, (reason) => linked.abort(reason))
    try {
      return toQueryResult(await this.#session.run(query, linked.signal))
    } catch (error) {
      if (!own.aborted || this.#signal.aborted) throw error
      await this.#session.settled()
      return { rows: [] }
    }
  }

  /** Present because Kysely asks for it when told to cancel; by then the abort itself has cancelled the statement. */
  async cancelQuery(): Promise<void> {}

  streamQuery(): never {
    throw new KeelsonError('KEELSON_DB_STREAM_UNSUPPORTED', 'internal', 'stream() is not supported: read in pages, with keyset()')
  }
}

function toQueryResult<R>({ command, rowCount, rows }: pg.QueryResult): QueryResult<R> {
  const result = { rows: (rows as R[] | undefined) ?? [] }
  return CHANGES_ROWS.has(command) ? { ...result, numAffectedRows: BigInt(rowCount ?? 0) } : result
}
