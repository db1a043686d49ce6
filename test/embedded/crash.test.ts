import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  after,
  guardOf,
  killAll,
  killAndWait,
  madeCluster,
  NEEDS_LINUX,
  postmasterOf,
  processesOf,
  query,
  spawnOwner,
  start,
  startOwner,
  tempFolder,
  until,
} from './fixture.ts'

test('when its owner is killed, Postgres stops; the next start has the data', NEEDS_LINUX, async (t) => {
  const dataFolder = await madeCluster(t)
  const owner = await startOwner(t, { dataFolder })
  await query(owner.url, 'DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 1 AS n')
  const guard = guardOf(dataFolder)
  assert.equal(sessionOf(guard), guard, 'Ctrl-C in the terminal of the owner does not reach it')
  process.kill(guard, 'SIGINT')
  process.kill(guard, 'SIGHUP')
  await killAndWait(owner.process)
  await until('Postgres and its guard are gone', () => processesOf(dataFolder).length === 0, 5_000)
  assert.match(readFileSync(join(dataFolder, 'postgres.log'), 'utf8'), /database system is shut down/)
  const next = await start(t, { dataFolder })
  assert.deepEqual(await query(next.url, 'SELECT n FROM kept'), [{ n: 1 }])
})

test('a start right after the owner was killed waits until the former server has gone', NEEDS_LINUX, async (t) => {
  const dataFolder = await madeCluster(t)
  const owner = await startOwner(t, { dataFolder })
  await query(owner.url, 'DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 1 AS n')
  await killAndWait(owner.process)
  const next = await start(t, { dataFolder })
  assert.deepEqual(await query(next.url, 'SELECT n FROM kept'), [{ n: 1 }])
})

test('when everything is killed at once, what was committed is there on the next start', NEEDS_LINUX, async (t) => {
  const dataFolder = await madeCluster(t)
  const owner = await startOwner(t, { dataFolder })
  await query(owner.url, 'DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 1 AS n')
  killAll(dataFolder)
  await killAndWait(owner.process)
  await until('all is gone', () => processesOf(dataFolder).length === 0)
  assert.ok(existsSync(join(dataFolder, 'data/postmaster.pid')))
  const next = await start(t, { dataFolder })
  assert.deepEqual(await query(next.url, 'SELECT n FROM kept'), [{ n: 1 }])
})

test('a lock whose pid another process has by now does not stand in the way', NEEDS_LINUX, async (t) => {
  const dataFolder = await madeCluster(t)
  const owner = await startOwner(t, { dataFolder })
  const pid = String(postmasterOf(dataFolder))
  killAll(dataFolder)
  await killAndWait(owner.process)
  await until('all is gone', () => processesOf(dataFolder).length === 0)
  // Of the same user as Postgres: another's process could not be taken for a server.
  const account = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  const stranger = spawn('sleep', ['60'], { stdio: 'ignore', ...account })
  after(t, () => stranger.kill())
  for (const file of ['data/postmaster.pid', 'socket/.s.PGSQL.5432.lock', 'holder.json']) {
    const path = join(dataFolder, file)
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace(pid, String(stranger.pid)).replace(String(owner.process.pid), String(stranger.pid)),
    )
  }
  assert.equal(postmasterOf(dataFolder), stranger.pid)
  const next = await start(t, { dataFolder })
  await query(next.url, 'SELECT 1')
  assert.equal(stranger.exitCode, null)
})

test('when only the guard is killed, disposing still stops the server', NEEDS_LINUX, async (t) => {
  const dataFolder = await madeCluster(t)
  const server = await start(t, { dataFolder })
  process.kill(guardOf(dataFolder), 'SIGKILL')
  assert.match((await server.exited)?.message ?? '', /the guard of the embedded Postgres is gone: it ended with SIGKILL/)
  assert.ok(processesOf(dataFolder).length > 0)
  await server[Symbol.asyncDispose]()
  await until('all is gone', () => processesOf(dataFolder).length === 0, 5_000)
})

test('a server left behind by a killed guard is replaced by the next start', NEEDS_LINUX, async (t) => {
  const dataFolder = await madeCluster(t)
  const owner = await startOwner(t, { dataFolder })
  await query(owner.url, 'DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 1 AS n')
  const left = postmasterOf(dataFolder)
  process.kill(guardOf(dataFolder), 'SIGKILL')
  await killAndWait(owner.process)
  const next = await start(t, { dataFolder })
  assert.notEqual(postmasterOf(dataFolder), left)
  assert.deepEqual(await query(next.url, 'SELECT n FROM kept'), [{ n: 1 }])
})

test('a first start that was killed half-way is begun anew', NEEDS_LINUX, async (t) => {
  const dataFolder = join(tempFolder(t), 'postgres')
  const owner = spawnOwner({ dataFolder })
  await until('initdb is at work', () => existsSync(join(dataFolder, 'data.new/base')))
  killAll(dataFolder)
  await killAndWait(owner)
  await until('all is gone', () => processesOf(dataFolder).length === 0)
  assert.ok(existsSync(join(dataFolder, 'data.new')))
  mkdirSync(join(dataFolder, 'data'), { mode: 0o700 })
  const next = await start(t, { dataFolder })
  assert.equal(next.firstStart, true)
  await query(next.url, 'SELECT 1')
})

test('when the owner of a first start is killed, nothing of it goes on', NEEDS_LINUX, async (t) => {
  const dataFolder = join(tempFolder(t), 'postgres')
  const owner = spawnOwner({ dataFolder })
  await until('initdb is at work', () => existsSync(join(dataFolder, 'data.new/base')))
  await killAndWait(owner)
  await until('initdb and the guard are gone', () => processesOf(dataFolder).length === 0, 5_000)
  assert.equal(existsSync(join(dataFolder, 'data')), false)
})

/** Sixth field of proc(5)'s stat. */
function sessionOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3])
}
