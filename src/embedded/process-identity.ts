/**
 * Telling one process from a later one with the same pid: a pid together with the moment its process began.
 * Linux says both in /proc/PID/stat (proc(5), fields 3 and 22); elsewhere `ps` does.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'

export interface ProcessIdentity {
  readonly pid: number
  /** When it began, in the system's own terms; only ever compared. */
  readonly began: string
}

/** @returns `undefined` when no such process runs; one that is dead but not yet reaped by its parent doesn't run. */
export function identify(pid: number): ProcessIdentity | undefined {
  const facts = process.platform === 'linux' ? factsFromProc(pid) : factsFromPs(pid)
  return facts && !facts.state.startsWith('Z') ? { pid, began: facts.began } : undefined
}

/** Whether that very process still runs. */
export function isRunning(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.began === identity.began
}

/** Its command line, or `''` when the system doesn't say. */
export function commandOf(pid: number): string {
  if (process.platform !== 'linux') return ps(pid, 'command=')
  return readOrNothing(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
    .replaceAll('\0', ' ')
    .trim()
}

/** The folder it works in; `''` where the system doesn't say. */
export function workingFolderOf(pid: number): string {
  return process.platform === 'linux' ? readOrNothing(() => readlinkSync(`/proc/${pid}/cwd`)) : ''
}

interface ProcessFacts {
  readonly state: string
  readonly began: string
}

function factsFromProc(pid: number): ProcessFacts | undefined {
  const stat = readOrNothing(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  // The second field is the command's name in brackets, which may itself contain brackets and blanks.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return state ? { state, began: `${bootId()}/${fields[18] ?? ''}` } : undefined
}

/** Start times count from the boot, so a cluster that survives a reboot must not take them for the same. */
function bootId(): string {
  return readOrNothing(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
}

function factsFromPs(pid: number): ProcessFacts | undefined {
  const [state, ...began] = ps(pid, 'stat=,lstart=').split(/\s+/)
  return state ? { state, began: began.join(' ') } : undefined
}

function ps(pid: number, columns: string): string {
  const env = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
  return readOrNothing(() =>
    execFileSync('ps', ['-ww', '-o', columns, '-p', String(pid)], { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'ignore'] }),
  ).trim()
}

function readOrNothing(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}
