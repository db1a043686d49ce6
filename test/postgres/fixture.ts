/** A fresh database on a real server, and what the tests of this folder look at it with. */
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { postgresForTests, type TestPostgres } from '../../src/testing/postgres-server.ts'
import type { ProxyTarget } from '../../src/testing/proxied-connection.ts'

export type FreshDatabase = TestPostgres

export async function freshDatabase(): Promise<FreshDatabase> {
  return await postgresForTests()
}

/** The server behind `url`, for a proxy before it. */
export function serverOf(url: string): ProxyTarget {
  const { host, port } = new pg.Client(url)
  return host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }
}

/** The same database and login through 127.0.0.1 or another host. */
export function through(url: string, port: number, host = '127.0.0.1'): string {
  const { user, password, database } = new pg.Client(url)
  const login = [user, password].filter(Boolean).map((part) => encodeURIComponent(String(part)))
  return `postgres://${login.join(':')}@${host}:${port}/${database}`
}

export interface Observer extends AsyncDisposable {
  query(sql: string): Promise<Record<string, unknown>[]>
  /** How many statements with `marker` in them run right now. */
  running(marker: string): Promise<number>
}

/** A connection beside the code under test. */
export async function observe(url: string): Promise<Observer> {
  const client = new pg.Client({ connectionString: url, application_name: 'observer' })
  client.on('error', () => {})
  await client.connect()
  const query = async (sql: string): Promise<Record<string, unknown>[]> => (await client.query(sql)).rows
  return {
    query,
    async running(marker) {
      const rows = await query(
        `select count(*)::int as n from pg_stat_activity
         where datname = current_database() and state <> 'idle' and application_name <> 'observer' and query like '%${marker}%'`,
      )
      return rows[0]?.['n'] as number
    },
    async [Symbol.asyncDispose]() {
      await client.end()
    },
  }
}

/** Looks every 2 ms until `check` is true. @returns how long it took, in milliseconds. */
export async function until(check: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<number> {
  const startedAt = performance.now()
  while (!(await check())) {
    if (performance.now() - startedAt > withinMs) throw new Error(`not so within ${withinMs} ms: ${check.toString()}`)
    await pause(2)
  }
  return performance.now() - startedAt
}

export function scopeOf(controller: AbortController): { signal: AbortSignal; remainingMs: number } {
  return { signal: controller.signal, remainingMs: 10_000 }
}

export { pause }
