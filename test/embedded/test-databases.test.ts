import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { before, after as afterAll, test } from 'node:test'
import pg from 'pg'
import type { EmbeddedPostgres } from '../../src/embedded/index.ts'
import { postgresForTests, startTestServer } from '../../src/testing/postgres-server.ts'
import { NEEDS_LINUX, processesOf, query, until } from './fixture.ts'

const FIXTURE = join(import.meta.dirname, 'fixtures/shared-server.ts')
const SECOND_FIXTURE = join(import.meta.dirname, 'fixtures/shared-server-too.ts')
const GLOBAL_SETUP = join(import.meta.dirname, '../support/global-setup.ts')
const given = process.env['KEELSON_TEST_DATABASE_URL']
let server: EmbeddedPostgres

before(async () => {
  server = await startTestServer()
  process.env['KEELSON_TEST_DATABASE_URL'] = server.url
})

afterAll(async () => {
  if (given === undefined) delete process.env['KEELSON_TEST_DATABASE_URL']
  else process.env['KEELSON_TEST_DATABASE_URL'] = given
  await server[Symbol.asyncDispose]()
})

test('each call gets an empty database of its own, which goes with it, connections or not', async () => {
  const [first, second] = await Promise.all([postgresForTests(), postgresForTests()])
  assert.notEqual(first.url, second.url)
  await query(first.url, 'CREATE TABLE only_here ()')
  assert.deepEqual(await query(second.url, `SELECT FROM pg_class WHERE relname = 'only_here'`), [])
  const lingering = new pg.Client({ connectionString: first.url })
  lingering.on('error', () => {})
  await lingering.connect()
  await first[Symbol.asyncDispose]()
  await second[Symbol.asyncDispose]()
  assert.deepEqual(await query(server.url, `SELECT datname FROM pg_database WHERE datname LIKE 'keelson_test_%'`), [])
})

test('a caller that gives up leaves no database behind', async () => {
  const giveUp = new AbortController()
  const work = postgresForTests({ signal: giveUp.signal })
  giveUp.abort(new Error('enough'))
  await assert.rejects(work, /enough/)
  assert.deepEqual(await query(server.url, `SELECT datname FROM pg_database WHERE datname LIKE 'keelson_test_%'`), [])
})

test('a server that refuses is named by its answer, never by its password', async (t) => {
  const before = process.env['KEELSON_TEST_DATABASE_URL']
  t.after(() => (process.env['KEELSON_TEST_DATABASE_URL'] = before))
  process.env['KEELSON_TEST_DATABASE_URL'] = 'postgres://someone:hunter2@127.0.0.1:1/x'
  await assert.rejects(postgresForTests(), (error: Error) => {
    assert.match(error.message, /the Postgres server for tests refused: .*ECONNREFUSED/)
    return !error.message.includes('hunter2')
  })
})

test('without a server given, a process starts its own, which goes with it', NEEDS_LINUX, async () => {
  const run = spawnSync(process.execPath, [FIXTURE], { encoding: 'utf8', env: withoutServer() })
  const [dataFolder] = dataFolders(run.stdout)
  assert.ok(dataFolder, run.stderr)
  await until('its server and its data are gone', () => processesOf(dataFolder).length === 0 && !existsSync(dataFolder))
})

test('with the global set-up, all files of a run share one server, which goes with the run', NEEDS_LINUX, () => {
  const args = ['--test', `--test-global-setup=${GLOBAL_SETUP}`, '--test-reporter=spec', FIXTURE, SECOND_FIXTURE]
  const run = spawnSync(process.execPath, args, { encoding: 'utf8', env: withoutServer() })
  const folders = dataFolders(run.stdout)
  assert.equal(run.status, 0, run.stdout + run.stderr)
  assert.equal(folders.length, 2, run.stdout)
  assert.equal(new Set(folders).size, 1)
  assert.deepEqual(processesOf(folders[0] ?? ''), [])
  assert.equal(existsSync(folders[0] ?? ''), false)
})

test('with a server given, the global set-up starts none', NEEDS_LINUX, () => {
  const env = { ...withoutServer(), DATABASE_URL: server.url }
  const run = spawnSync(process.execPath, ['--test', `--test-global-setup=${GLOBAL_SETUP}`, FIXTURE], { encoding: 'utf8', env })
  assert.deepEqual(dataFolders(run.stdout), dataFolders(`@ ${server.url}\n`))
})

/** As a process outside of this test run would see it. */
function withoutServer(): NodeJS.ProcessEnv {
  const { KEELSON_TEST_DATABASE_URL: _ours, DATABASE_URL: _theirs, NODE_TEST_CONTEXT: _inner, ...env } = process.env
  return env
}

function dataFolders(output: string): string[] {
  return [...output.matchAll(/@ (postgres:\S+)/g)].map((match) => dirname(new URL(match[1] ?? '').searchParams.get('host') ?? ''))
}
