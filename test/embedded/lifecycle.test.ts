import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isKeelsonError } from '../../src/core/errors.ts'
import { startEmbeddedPostgres } from '../../src/embedded/index.ts'
import {
  after,
  madeCluster,
  NEEDS_LINUX,
  postmasterOf,
  processesOf,
  query,
  start,
  startOwner,
  tempFolder,
  until,
} from './fixture.ts'

test('a first start makes a cluster, a second one finds its data, and a stop leaves no process', NEEDS_LINUX, async (t) => {
  const dataFolder = join(tempFolder(t), 'a project', '.keelson', 'postgres')
  const steps: string[] = []
  const first = await start(t, { dataFolder, onProgress: (step) => steps.push(step) })
  assert.equal(first.firstStart, true)
  assert.match(first.version, /^18\.\d+$/)
  assert.deepEqual(steps, ['preparing binaries', 'creating the database cluster', 'starting', 'ready'])
  await query(first.url, `CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)`)
  await first[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()
  assert.equal(await first.exited, undefined)
  assert.deepEqual(processesOf(dataFolder), [])
  // Beside them, binaries with their links mended, where the package's own script was not allowed to.
  const kept = readdirSync(dataFolder).filter((name) => !name.startsWith('binaries-'))
  assert.deepEqual(kept.toSorted(), ['data', 'postgres.log'])

  steps.length = 0
  const second = await start(t, { dataFolder, onProgress: (step) => steps.push(step) })
  assert.equal(second.firstStart, false)
  assert.deepEqual(steps, ['preparing binaries', 'starting', 'ready'])
  assert.deepEqual(await query(second.url, 'SELECT n FROM kept'), [{ n: 42 }])
})

test('what users have: durable, no network port, sorting by code point, a private socket', async (t) => {
  const dataFolder = await madeCluster(t)
  const { url } = await start(t, { dataFolder, database: 'Some-Name_1' })
  const [facts] = await query(
    url,
    `SELECT current_database() AS name, current_setting('fsync') AS fsync, current_setting('listen_addresses') AS addresses,
       pg_encoding_to_char(encoding) AS encoding, datlocprovider AS provider, datlocale AS locale, upper('straße ü') AS upper
     FROM pg_database WHERE datname = current_database()`,
  )
  assert.deepEqual(facts, {
    name: 'Some-Name_1',
    fsync: 'on',
    addresses: '',
    encoding: 'UTF8',
    provider: 'b',
    locale: 'C.UTF-8',
    upper: 'STRAßE Ü',
  })
  assert.deepEqual(await query(url, `SELECT x FROM unnest(ARRAY['b', 'a', 'B', 'ä']) x ORDER BY x`), [
    { x: 'B' },
    { x: 'a' },
    { x: 'b' },
    { x: 'ä' },
  ])
  assert.equal(statSync(dataFolder).mode & 0o777, 0o700)
  assert.equal(statSync(new URL(url).searchParams.get('host') ?? '').mode & 0o777, 0o700)
})

test("the user's environment does not reach Postgres, nor break the connection string", async (t) => {
  const hostile = {
    TZ: 'Mars/Olympus',
    LC_ALL: 'xx_XX.nonsense',
    LANG: 'xx_XX',
    PGPORT: '1',
    PGHOST: 'nowhere.invalid',
    PGUSER: 'nobody',
    PGDATA: '/nonexistent',
    PGOPTIONS: '-c work_mem=1',
    PGSSLMODE: 'require',
    NODE_OPTIONS: '--no-such-option',
  }
  const before = { ...process.env }
  after(t, () => void (process.env = before))
  Object.assign(process.env, hostile)
  const { url } = await start(t, { dataFolder: await madeCluster(t) })
  delete process.env['PGOPTIONS']
  assert.deepEqual(await query(url, `SELECT current_user AS "user", current_setting('TimeZone') AS zone`), [
    { user: 'postgres', zone: 'UTC' },
  ])
})

test('a server that dies by itself is told of, with the end of its log', NEEDS_LINUX, async (t) => {
  const dataFolder = await madeCluster(t)
  const server = await start(t, { dataFolder })
  process.kill(postmasterOf(dataFolder), 'SIGQUIT')
  const error = await server.exited
  assert.ok(isKeelsonError(error, 'KEELSON_EMBEDDED_EXITED'))
  assert.match(error.message, /stopped by itself/)
  assert.match(error.message, /immediate shutdown request/)
  await until('all is gone', () => processesOf(dataFolder).length === 0)
})

test('a start can be given up, and the next one makes the cluster anew', NEEDS_LINUX, async (t) => {
  const dataFolder = join(tempFolder(t), 'postgres')
  const giveUp = new AbortController()
  const reason = new Error('enough')
  const onProgress = (step: string): void => {
    if (step === 'creating the database cluster') giveUp.abort(reason)
  }
  await assert.rejects(startEmbeddedPostgres({ dataFolder, signal: giveUp.signal, onProgress }), reason)
  assert.deepEqual(processesOf(dataFolder), [])
  assert.equal(existsSync(join(dataFolder, 'data')), false)
  const server = await start(t, { dataFolder })
  assert.equal(server.firstStart, true)
  assert.equal(existsSync(join(dataFolder, 'data.new')), false)
})

test('a signal that has already aborted starts nothing', async (t) => {
  const folder = tempFolder(t)
  const reason = new Error('too late')
  const options = { dataFolder: join(folder, 'postgres'), signal: AbortSignal.abort(reason) }
  await assert.rejects(startEmbeddedPostgres(options), reason)
  assert.deepEqual(readdirSync(folder), [])
})

test('an option that cannot be meant is refused by name', async () => {
  const refused = (options: object, pattern: RegExp): Promise<void> =>
    assert.rejects(startEmbeddedPostgres(options as { dataFolder: string }), { code: 'KEELSON_CONFIG_INVALID', message: pattern })
  await refused({}, /`dataFolder` must be a non-empty string/)
  await refused({ dataFolder: 'x', database: 'n'.repeat(64) }, /`database` must be 1 to 63 letters/)
  await refused({ dataFolder: 'x', database: 'a"b' }, /`database`/)
  await refused({ dataFolder: 'x', durability: false }, /`durability` is not an option/)
})

test('data that need not last go with the server', NEEDS_LINUX, async (t) => {
  const dataFolder = join(tempFolder(t), 'postgres')
  const server = await start(t, { dataFolder, durable: false })
  assert.deepEqual(await query(server.url, 'SHOW fsync'), [{ fsync: 'off' }])
  await server[Symbol.asyncDispose]()
  assert.equal(existsSync(dataFolder), false)
})

test('a server does not keep its owner alive, and data that were there before are kept', NEEDS_LINUX, async (t) => {
  const dataFolder = await madeCluster(t)
  const owner = await startOwner(t, { dataFolder })
  await query(owner.url, 'CREATE TABLE kept ()')
  owner.process.kill('SIGTERM')
  await until('all is gone', () => processesOf(dataFolder).length === 0)
  const server = await start(t, { dataFolder, durable: false })
  await query(server.url, 'SELECT FROM kept')
  await server[Symbol.asyncDispose]()
  assert.equal(existsSync(join(dataFolder, 'data/PG_VERSION')), true)
  assert.match(readFileSync(join(dataFolder, 'postgres.log'), 'utf8'), /ready to accept connections/)
})
