import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chownSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { killAndWait, NEEDS_LINUX, postmasterOf, processesOf, query, start, startOwner, tempFolder, until } from './fixture.ts'

const root = process.getuid?.() === 0
const ONLY_ROOT = { skip: NEEDS_LINUX.skip || (root ? false : 'not run as root') }

/** Any that is in /etc/passwd and isn't `nobody`. */
const DAEMON = 1
const NOBODY = 65_534

test('as root, Postgres runs as nobody, who owns the data, even where only root may go', ONLY_ROOT, async (t) => {
  const dataFolder = join(tempFolder(t, 0o700), 'my project', 'postgres')
  const server = await start(t, { dataFolder })
  assert.deepEqual(await query(server.url, 'SELECT count(*)::int AS n FROM generate_series(1, 10)'), [{ n: 10 }])
  assert.equal(uidOf(postmasterOf(dataFolder)), NOBODY)
  assert.equal(statSync(join(dataFolder, 'data')).uid, NOBODY)
})

test("as root in another user's project, Postgres runs as that user", ONLY_ROOT, async (t) => {
  const project = tempFolder(t)
  chownSync(project, DAEMON, DAEMON)
  const dataFolder = join(project, '.keelson', 'postgres')
  const server = await start(t, { dataFolder })
  await query(server.url, 'SELECT 1')
  assert.equal(uidOf(postmasterOf(dataFolder)), DAEMON)
  assert.equal(statSync(dataFolder).uid, DAEMON)
})

test('as another user than root', { skip: NEEDS_LINUX.skip || whyNotAsNobody() }, async (t) => {
  const project = tempFolder(t)
  chownSync(project, NOBODY, NOBODY)
  const dataFolder = join(project, 'my project', 'postgres')
  const first = await startOwner(t, { dataFolder }, NOBODY)
  await query(first.url, 'CREATE TABLE kept AS SELECT 1 AS n')
  assert.equal(uidOf(postmasterOf(dataFolder)), NOBODY)
  await killAndWait(first.process)
  await until('all is gone', () => processesOf(dataFolder).length === 0)
  const second = await startOwner(t, { dataFolder }, NOBODY)
  assert.deepEqual(await query(second.url, 'SELECT n FROM kept'), [{ n: 1 }])
  await killAndWait(second.process)
  await until('all is gone', () => processesOf(dataFolder).length === 0)
  // Root takes over what that user left, and hands it back.
  {
    await using third = await start(t, { dataFolder })
    assert.deepEqual(await query(third.url, 'SELECT n FROM kept'), [{ n: 1 }])
  }
  const fourth = await startOwner(t, { dataFolder }, NOBODY)
  assert.deepEqual(await query(fourth.url, 'SELECT n FROM kept'), [{ n: 1 }])
})

test("another user's data folder is refused", { skip: NEEDS_LINUX.skip || whyNotAsNobody() }, async (t) => {
  const dataFolder = join(tempFolder(t), 'postgres')
  mkdirSync(dataFolder)
  await assert.rejects(
    startOwner(t, { dataFolder }, NOBODY),
    /KEELSON_EMBEDDED_FOLDER_UNUSABLE|belongs to another user \(uid 0\)/,
  )
  const below = join(tempFolder(t, 0o700), 'postgres')
  await assert.rejects(startOwner(t, { dataFolder: below }, NOBODY), /cannot be made: EACCES/)
})

function uidOf(pid: number): number {
  return Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

function whyNotAsNobody(): string | false {
  if (!root) return 'only root can become another user; all other tests have run as one'
  const script = join(import.meta.dirname, 'fixtures/owner.ts')
  const look = spawnSync(process.execPath, ['-p', `fs.statSync(${JSON.stringify(script)}).size`], {
    uid: NOBODY,
    gid: NOBODY,
    cwd: '/',
  })
  return look.status === 0 ? false : `nobody cannot reach ${look.error ? process.execPath : script}`
}
