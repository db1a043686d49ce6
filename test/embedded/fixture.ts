/** What the tests of the embedded Postgres share: folders that go, servers that stop, and a look at what still runs. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { systemClock } from '../../src/core/clock.ts'
import { startEmbeddedPostgres, type EmbeddedPostgres, type EmbeddedPostgresOptions } from '../../src/embedded/index.ts'

const cleanups = new WeakMap<TestContext, AsyncDisposableStack>()

/** Runs `undo` after the test, the last one registered first: a server stops before its folder goes. */
export function after(t: TestContext, undo: () => unknown): void {
  let stack = cleanups.get(t)
  if (!stack) {
    const made = (stack = new AsyncDisposableStack())
    cleanups.set(t, made)
    t.after(() => made.disposeAsync())
  }
  stack.defer(async () => void (await undo()))
}

/** Removed after the test. */
export function tempFolder(t: TestContext, mode = 0o755): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'keelson-t-'))
  chmodSync(folder, mode)
  after(t, () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export async function start(t: TestContext, options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres(options)
  after(t, () => server[Symbol.asyncDispose]())
  return server
}

/** @returns a data folder in `folder` with a cluster: one per test file, lent to one test after the other. */
export async function madeCluster(t: TestContext, folder: string = tempFolder(t)): Promise<string> {
  template ??= makeTemplate()
  const [made, dataFolder] = [await template, join(folder, 'postgres')]
  renameSync(made, dataFolder)
  after(t, () => renameSync(dataFolder, made))
  return dataFolder
}

let template: Promise<string> | undefined

async function makeTemplate(): Promise<string> {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), 'keelson-t-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const dataFolder = join(folder, 'postgres')
  await using _server = await startEmbeddedPostgres({ dataFolder })
  return dataFolder
}

export async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

export interface Owner {
  readonly process: ChildProcess
  readonly url: string
  readonly firstStart: boolean
}

/** A process of its own that owns a server. */
export async function startOwner(t: TestContext, options: EmbeddedPostgresOptions, uid?: number): Promise<Owner> {
  const child = spawnOwner(options, uid)
  after(t, () => until('the server is gone with its owner', () => processesOf(options.dataFolder).length === 0))
  after(t, () => child.kill('SIGKILL'))
  let complaints = ''
  child.stderr?.on('data', (chunk) => (complaints += chunk))
  for await (const line of createInterface({ input: child.stdout! })) return { process: child, ...JSON.parse(line) }
  throw new Error(`the owner ended: ${complaints}`)
}

export function spawnOwner(options: EmbeddedPostgresOptions, uid?: number): ChildProcess {
  const script = join(import.meta.dirname, 'fixtures/owner.ts')
  const account = uid === undefined ? {} : { uid, gid: uid }
  return spawn(process.execPath, [script, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'pipe'], ...account })
}

export async function killAndWait(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

/** The ids of the processes that work in `dataFolder` or were started for it: Postgres', initdb's and the guard. */
export function processesOf(dataFolder: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid && belongsTo(pid, dataFolder))
}

/** The guard first, so that it cannot end the others in its orderly way. */
export function killAll(dataFolder: string): void {
  for (const pid of [guardOf(dataFolder), ...processesOf(dataFolder)]) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // Postgres' processes end when the first of them has gone.
    }
  }
}

function belongsTo(pid: number, dataFolder: string): boolean {
  try {
    if (/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) return false
    if (readlinkSync(`/proc/${pid}/cwd`).startsWith(dataFolder)) return true
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    return command.includes('/guard.ts') && command.includes(`"dataFolder":${JSON.stringify(dataFolder)}`)
  } catch {
    return false
  }
}

export function guardOf(dataFolder: string): number {
  return JSON.parse(readFileSync(join(dataFolder, 'holder.json'), 'utf8')).guard.pid
}

export function postmasterOf(dataFolder: string): number {
  return Number.parseInt(readFileSync(join(dataFolder, 'data/postmaster.pid'), 'utf8'), 10)
}

/** Polls until `condition` holds. @throws when it doesn't within `boundMs`. */
export async function until(what: string, condition: () => boolean, boundMs = 15_000): Promise<void> {
  const giveUpAt = systemClock.now() + boundMs
  while (!condition()) {
    if (systemClock.now() > giveUpAt) throw new Error(`not within ${boundMs} ms: ${what}`)
    await systemClock.sleep(10)
  }
}

/** These tests look into /proc. */
export const NEEDS_LINUX: { skip: string | false } = { skip: process.platform === 'linux' ? false : 'looks into /proc' }
