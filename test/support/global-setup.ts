/**
 * For `node --test-global-setup`: one embedded Postgres for the whole run, unless a server is given. Test processes
 * inherit its URL; each test makes its own database there, with `postgresForTests`.
 */
import { isEmbeddedPostgresAvailable, type EmbeddedPostgres } from '../../src/embedded/index.ts'
import { startTestServer } from '../../src/testing/postgres-server.ts'

let server: EmbeddedPostgres | undefined

export async function globalSetup(): Promise<void> {
  const given = process.env['KEELSON_TEST_DATABASE_URL'] || process.env['DATABASE_URL']
  if (given || !isEmbeddedPostgresAvailable()) return
  server = await startTestServer()
  process.env['KEELSON_TEST_DATABASE_URL'] = server.url
}

export async function globalTeardown(): Promise<void> {
  await server?.[Symbol.asyncDispose]()
}
