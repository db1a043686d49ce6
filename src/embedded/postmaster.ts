/** The postmaster, Postgres' first process: ending it, and finding one that an earlier guard left behind. */
import { readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { embeddedError } from './errors.ts'
import { commandOf, identify, isRunning, workingFolderOf, type ProcessIdentity } from './process-identity.ts'

/** Shown in Postgres' process titles, and known again by it. */
export const CLUSTER_NAME = 'keelson'

const POLL_MS = 10

/** Fast shutdown; if it hangs, immediate shutdown (the next start recovers from the log); then the end without asking. */
const STOPPING = [
  ['SIGINT', 10_000],
  ['SIGQUIT', 5_000],
  ['SIGKILL', 5_000],
] as const

/** Ends the server, and with it all its processes; resolves when it is gone. */
export async function stopPostmaster(postmaster: ProcessIdentity, clock: Clock): Promise<void> {
  for (const [signal, patienceMs] of STOPPING) {
    if (!isRunning(postmaster)) return
    try {
      process.kill(postmaster.pid, signal)
    } catch {
      // It ended a moment ago.
    }
    await waitUntilGone(postmaster, patienceMs, clock)
  }
}

async function waitUntilGone(postmaster: ProcessIdentity, patienceMs: number, clock: Clock): Promise<void> {
  const giveUpAt = clock.now() + patienceMs
  while (isRunning(postmaster) && clock.now() < giveUpAt) await clock.sleep(POLL_MS)
}

/**
 * Settles what postmaster.pid says, before a server is started on `data`. One whose guard was killed is stopped.
 * @returns the pid written there, which is no server's by now; `undefined` after a regular end.
 * @throws KeelsonError `KEELSON_EMBEDDED_IN_USE` when a server runs there that isn't ours.
 */
export async function settleFormerPostmaster(data: string, clock: Clock): Promise<number | undefined> {
  const pid = readPid(data)
  const former = pid === undefined ? undefined : identify(pid)
  if (!former || !servesFolder(former.pid, data)) return pid
  const command = commandOf(former.pid)
  if (!command.includes(`cluster_name=${CLUSTER_NAME}`)) {
    const message = `${data} is already in use by process ${pid} (${command}); stop it or set DATABASE_URL`
    throw embeddedError('KEELSON_EMBEDDED_IN_USE', message, { dataFolder: data, pid, command })
  }
  await stopPostmaster(former, clock)
  return pid
}

/** A postmaster works in its cluster's folder; where the system doesn't say so, its command line names it. */
function servesFolder(pid: number, data: string): boolean {
  const folder = workingFolderOf(pid)
  return folder === '' ? commandOf(pid).includes(data) : folder === realpathSync(data)
}

/** The first line of postmaster.pid. */
function readPid(data: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(join(data, 'postmaster.pid'), 'utf8'), 10)
    return pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}
