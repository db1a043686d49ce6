import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isKeelsonError, type KeelsonError } from '../../src/core/errors.ts'
import { startEmbeddedPostgres } from '../../src/embedded/index.ts'
import {
  after,
  killAll,
  killAndWait,
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

async function refusal(dataFolder: string): Promise<KeelsonError> {
  const error = await startEmbeddedPostgres({ dataFolder }).catch((reason: unknown) => reason)
  assert.ok(isKeelsonError(error), String(error))
  assert.equal(error.retryable, false)
  assert.match(error.message, /DATABASE_URL/)
  return error
}

test('a second start in the same folder is refused, naming the holder', async (t) => {
  const dataFolder = await madeCluster(t)
  const owner = await startOwner(t, { dataFolder })
  const error = await refusal(dataFolder)
  assert.equal(error.code, 'KEELSON_EMBEDDED_IN_USE')
  assert.equal(error.details['pid'], owner.process.pid)
  assert.match(error.message, new RegExp(`process ${owner.process.pid} \\(.*owner\\.ts.*since 20\\d\\d-`))
  await query(owner.url, 'SELECT 1')
})

test('of many starts at once exactly one gets the folder', async (t) => {
  const dataFolder = await madeCluster(t)
  const outcomes = await Promise.allSettled([1, 2, 3].map(() => startEmbeddedPostgres({ dataFolder })))
  const servers = outcomes.filter((o) => o.status === 'fulfilled').map((o) => o.value)
  const reasons = outcomes.filter((o) => o.status === 'rejected').map((o) => o.reason.code)
  for (const server of servers) await server[Symbol.asyncDispose]()
  assert.deepEqual([servers.length, reasons], [1, ['KEELSON_EMBEDDED_IN_USE', 'KEELSON_EMBEDDED_IN_USE']])
  assert.deepEqual(
    readdirSync(dataFolder).filter((name) => name.startsWith('holder')),
    [],
  )
})

test('a hold whose processes are gone, or that cannot be read, is void', async (t) => {
  const dataFolder = await madeCluster(t)
  const gone = { pid: process.pid, began: 'another boot' }
  const hold = { guard: gone, owner: { identity: gone, command: 'x' }, since: new Date(0).toISOString() }
  for (const text of [JSON.stringify(hold), '{"guard":', '']) {
    writeFileSync(join(dataFolder, 'holder.json'), text)
    await using server = await startEmbeddedPostgres({ dataFolder })
    assert.equal(JSON.parse(readFileSync(join(dataFolder, 'holder.json'), 'utf8')).owner.identity.pid, process.pid)
    await query(server.url, 'SELECT 1')
  }
})

test('a Postgres that somebody else runs on the cluster is left alone', NEEDS_LINUX, async (t) => {
  const dataFolder = await madeCluster(t)
  const owner = await startOwner(t, { dataFolder })
  // The same programs without our cluster name, as somebody might run them by hand.
  const [program = '', ...args] = readFileSync(`/proc/${postmasterOf(dataFolder)}/cmdline`, 'utf8')
    .split('\0')
    .slice(0, -1)
  await killAndWait(owner.process)
  await until('the first is gone', () => processesOf(dataFolder).length === 0)
  const byHand = args.filter((arg, at) => !arg.startsWith('cluster_name') && !args[at + 1]?.startsWith('cluster_name'))
  mkdirSync(join(dataFolder, 'socket'))
  const { uid, gid } = statSync(dataFolder)
  chownSync(join(dataFolder, 'socket'), uid, gid)
  const child = spawn(program, byHand, { cwd: join(dataFolder, 'data'), stdio: 'ignore', uid, gid })
  after(t, async () => {
    child.kill('SIGINT')
    await once(child, 'exit')
  })
  await until('it has its lock', () => readdirSync(join(dataFolder, 'data')).includes('postmaster.pid'))
  const error = await refusal(dataFolder)
  assert.equal(error.code, 'KEELSON_EMBEDDED_IN_USE')
  assert.equal(error.details['pid'], child.pid)
  assert.equal(child.exitCode, null)
})

test('a cluster of another major version is refused, saying what to do', async (t) => {
  const dataFolder = await madeCluster(t)
  writeFileSync(join(dataFolder, 'data/PG_VERSION'), '17\n')
  after(t, () => writeFileSync(join(dataFolder, 'data/PG_VERSION'), '18\n'))
  const error = await refusal(dataFolder)
  assert.equal(error.code, 'KEELSON_EMBEDDED_WRONG_VERSION')
  assert.match(error.message, /made by Postgres 17, and this is 18\.\d+; move it away .*pg_dump/)
})

test('what is not a cluster is refused and not touched', async (t) => {
  const folder = tempFolder(t)
  mkdirSync(join(folder, 'postgres/data'), { recursive: true })
  const { uid, gid } = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : statSync(folder)
  writeFileSync(join(folder, 'postgres/data/thesis.txt'), 'years of work')
  for (const path of ['postgres/data', 'postgres']) chownSync(join(folder, path), uid, gid)
  const error = await refusal(join(folder, 'postgres'))
  assert.equal(error.code, 'KEELSON_EMBEDDED_FOLDER_UNUSABLE')
  assert.match(error.message, /not a Postgres cluster/)
  assert.equal(readFileSync(join(folder, 'postgres/data/thesis.txt'), 'utf8'), 'years of work')
})

test('a damaged cluster is reported with the end of the log', async (t) => {
  const dataFolder = await madeCluster(t)
  const control = join(dataFolder, 'data/global/pg_control')
  renameSync(control, `${control}.away`)
  after(t, () => renameSync(`${control}.away`, control))
  const error = await startEmbeddedPostgres({ dataFolder }).catch((reason: unknown) => reason)
  assert.ok(isKeelsonError(error, 'KEELSON_EMBEDDED_START_FAILED'))
  assert.match(error.message, /postgres\.log:\n.*pg_control/s)
})

test('a link, or a file, in the place of the folder is refused', async (t) => {
  const folder = tempFolder(t)
  mkdirSync(join(folder, 'elsewhere'))
  symlinkSync('elsewhere', join(folder, 'link'))
  writeFileSync(join(folder, 'file'), '')
  for (const name of ['link', 'file']) {
    assert.equal((await refusal(join(folder, name))).code, 'KEELSON_EMBEDDED_FOLDER_UNUSABLE')
  }
  assert.deepEqual(readdirSync(join(folder, 'elsewhere')), [])
})

test('a folder open to others is closed to them', async (t) => {
  const dataFolder = await madeCluster(t)
  chmodSync(dataFolder, 0o777)
  await start(t, { dataFolder })
  assert.equal(statSync(dataFolder).mode & 0o777, 0o700)
})

test('a path too long for a socket gets a short private one, which goes with the server', async (t) => {
  const folder = longFolder(t)
  const dataFolder = await madeCluster(t, folder)
  const server = await start(t, { dataFolder })
  const host = new URL(server.url).searchParams.get('host') ?? ''
  assert.match(host, /^.*\/keelson-socket-\w{6}$/)
  assert.equal(statSync(host).mode & 0o777, 0o700)
  await query(server.url, 'SELECT 1')
  await server[Symbol.asyncDispose]()
  assert.equal(statSync(host, { throwIfNoEntry: false }), undefined)
})

test('the short socket folder of a killed server is removed by the next start', NEEDS_LINUX, async (t) => {
  const folder = longFolder(t)
  const dataFolder = await madeCluster(t, folder)
  const owner = await startOwner(t, { dataFolder })
  const left = new URL(owner.url).searchParams.get('host') ?? ''
  killAll(dataFolder)
  await killAndWait(owner.process)
  await until('all is gone', () => processesOf(dataFolder).length === 0)
  assert.ok(statSync(left).isDirectory())
  const server = await start(t, { dataFolder })
  assert.equal(statSync(left, { throwIfNoEntry: false }), undefined)
  await query(server.url, 'SELECT 1')
})

test('exactly as long as a socket path may be is not too long', NEEDS_LINUX, async (t) => {
  const folder = tempFolder(t)
  const socket = '/postgres/socket/.s.PGSQL.5432'
  const name = 'n'.repeat(107 - Buffer.byteLength(join(folder, 'x', socket)) + 1)
  mkdirSync(join(folder, name))
  const dataFolder = await madeCluster(t, join(folder, name))
  assert.equal(Buffer.byteLength(join(dataFolder, 'socket/.s.PGSQL.5432')), 107)
  const server = await start(t, { dataFolder })
  assert.equal(new URL(server.url).searchParams.get('host'), join(dataFolder, 'socket'))
  await query(server.url, 'SELECT 1')
})

function longFolder(t: TestContext): string {
  const folder = join(tempFolder(t), 'a folder far down the tree '.repeat(4), 'ünïcode')
  mkdirSync(folder, { recursive: true })
  return folder
}
