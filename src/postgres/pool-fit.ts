/** Whether the pools of all processes fit into what the server allows: found at boot, not under load. */
import { sql, type QueryExecutorProvider } from 'kysely'

interface Limits {
  readonly max: number
  readonly reserved: number
}

/** @returns what is wrong, as a sentence, or nothing. */
export async function poolProblem(db: QueryExecutorProvider, total: number): Promise<string | undefined> {
  // `reserved_connections` came with Postgres 16.
  const { rows } = await sql<Limits>`
    select current_setting('max_connections')::int as max,
           current_setting('superuser_reserved_connections')::int
             + coalesce(current_setting('reserved_connections', true), '0')::int as reserved`.execute(db)
  const [limits] = rows
  if (!limits) return undefined
  const available = limits.max - limits.reserved
  if (total <= available) return undefined
  return (
    `the pools may open ${total} connections, but the server allows ${available} ` +
    `(max_connections ${limits.max}, ${limits.reserved} reserved): lower the pools or raise max_connections`
  )
}
