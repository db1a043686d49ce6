/**
 * One server per data folder: a file that says who has it. It is put in place whole, by link(2), and a hold whose guard
 * no longer runs is void. (Postgres' own lock stands behind this one, but it doesn't cover making the cluster, and
 * doesn't know who asked.)
 */
import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { embeddedError } from './errors.ts'
import type { GuardOrder } from './guard-protocol.ts'
import { identify, isRunning, type ProcessIdentity } from './process-identity.ts'

/** What the file holds. */
export interface FolderHold {
  readonly guard: ProcessIdentity
  readonly owner: GuardOrder['owner']
  /** ISO 8601. */
  readonly since: string
}

/** How long a guard whose owner is gone is given to stop its server, before it counts as a holder again. */
const LEAVING_MS = 25_000
const POLL_MS = 25

/**
 * Takes the folder until disposed. Waits for a holder that is already stopping.
 * @throws KeelsonError `KEELSON_EMBEDDED_IN_USE` naming the holder.
 */
export async function holdFolder(order: GuardOrder, clock: Clock, signal: AbortSignal): Promise<Disposable> {
  const file = join(order.dataFolder, 'holder.json')
  const own = JSON.stringify({ guard: identify(process.pid), owner: order.owner, since: new Date(clock.wallNow()).toISOString() })
  const giveUpAt = clock.now() + LEAVING_MS
  while (!put(file, own)) {
    const text = read(file)
    const hold = text === undefined ? undefined : parseHold(text)
    if (!hold || !isRunning(hold.guard)) discard(file, text)
    else if (isRunning(hold.owner.identity) || clock.now() > giveUpAt) throw inUse(order.dataFolder, hold)
    else await clock.sleep(POLL_MS, signal)
  }
  return {
    [Symbol.dispose]() {
      if (read(file) === own) rmSync(file, { force: true })
    },
  }
}

/** @returns whether the file is ours now; false when there is one already. */
function put(file: string, text: string): boolean {
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  writeFileSync(draft, text, { flag: 'wx' })
  try {
    linkSync(draft, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(draft)
  }
}

/** Takes a void hold away, and puts it back if somebody renewed it between the judgement and the deed. */
function discard(file: string, judged: string | undefined): void {
  const aside = `${file}.${randomBytes(6).toString('hex')}`
  try {
    renameSync(file, aside)
    if (read(aside) !== judged) linkSync(aside, file)
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
  rmSync(aside, { force: true })
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function parseHold(text: string): FolderHold | undefined {
  try {
    return JSON.parse(text) as FolderHold
  } catch {
    return undefined
  }
}

function inUse(dataFolder: string, { owner, since }: FolderHold): Error {
  const { pid } = owner.identity
  return embeddedError(
    'KEELSON_EMBEDDED_IN_USE',
    `${dataFolder} is already in use by process ${pid} (${owner.command}, since ${since}); stop it or set DATABASE_URL`,
    { dataFolder, pid, command: owner.command, since },
  )
}
