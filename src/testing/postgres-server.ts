/**
 * A fresh, empty Postgres database for each test that asks. It is made on the server that KEELSON_TEST_DATABASE_URL or
 * DATABASE_URL names, else on an embedded one that this process starts once and that ends with it.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NEVER } from '../core/abort.ts'
import { KeelsonError } from '../core/errors.ts'
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../embedded/index.ts'

export interface TestPostgres extends AsyncDisposable {
  /** Names the database that was made; of its owner's rights it has all. */
  readonly url: string
  /** Drops the database, throwing out whoever is still connected. */
  [Symbol.asyncDispose](): Promise<void>
}

export interface TestPostgresOptions {
  /** Gives up; a database already made is dropped. Default: never. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Needs the package `pg`.
 * @throws KeelsonError `KEELSON_TEST_DATABASE_UNAVAILABLE` when the server named refuses; `KEELSON_EMBEDDED_*`; `signal.reason`.
 */
export async function postgresForTests({ signal = NEVER }: TestPostgresOptions = {}): Promise<TestPostgres> {
  signal.throwIfAborted()
  const server = process.env['KEELSON_TEST_DATABASE_URL'] || process.env['DATABASE_URL'] || (await sharedServer()).url
  signal.throwIfAborted()
  const name = `keelson_test_${randomBytes(8).toString('hex')}`
  // From template0, to which nobody is ever connected: a connection to the template would make this fail.
  await execute(server, `CREATE DATABASE "${name}" TEMPLATE template0 ENCODING 'UTF8'`)
  const drop = (): Promise<void> => execute(server, `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`)
  if (signal.aborted) {
    await drop()
    throw signal.reason
  }
  return { url: withDatabase(server, name), [Symbol.asyncDispose]: drop }
}

/** Starts an embedded Postgres whose data goes with it; for a test run's global set-up, which hands its URL on. */
export function startTestServer(): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ dataFolder: mkdtempSync(join(tmpdir(), 'keelson-test-')), durable: false })
}

let shared: Promise<EmbeddedPostgres> | undefined

/** Nobody disposes it: its guard stops it when this process ends. */
function sharedServer(): Promise<EmbeddedPostgres> {
  shared ??= startTestServer().catch((error: unknown) => {
    shared = undefined
    throw error
  })
  return shared
}

async function execute(url: string, sql: string): Promise<void> {
  const { Client } = (await import('pg')).default
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 10_000, query_timeout: 30_000 })
  try {
    await client.connect()
    await client.query(sql)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const message = `the Postgres server for tests refused: ${why}`
    throw new KeelsonError('KEELSON_TEST_DATABASE_UNAVAILABLE', 'unavailable', message, { cause })
  } finally {
    await client.end()
  }
}

function withDatabase(server: string, name: string): string {
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}
