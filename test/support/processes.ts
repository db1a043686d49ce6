/** Who runs on this machine, and who started whom; from `/proc`, else from `ps`. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { eventually } from './waiting.ts'

export interface ProcessFacts {
  readonly pid: number
  readonly parent: number
  readonly command: string
  /** Together with the pid it names one process for ever: pids are used again. */
  readonly startedAt: string
}

/** All that run; a zombie, which only waits to be reaped by an init that may be missing, does not. */
export function runningProcesses(): readonly ProcessFacts[] {
  if (process.platform !== 'linux') return fromPs()
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => fromProc(Number(pid)) ?? [])
}

function fromProc(pid: number): ProcessFacts | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in parentheses may hold anything, spaces and parentheses too.
    const [state, parent, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (state === 'Z' || state === 'X') return undefined
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
    return { pid, parent: Number(parent), command, startedAt: rest[17] ?? '' }
  } catch {
    return undefined
  }
}

function fromPs(): readonly ProcessFacts[] {
  const { stdout } = spawnSync('ps', ['-Ao', 'pid=,ppid=,stat=,lstart=,args='], { encoding: 'utf8' })
  return stdout.split('\n').flatMap((line) => {
    const [, pid, parent, state, startedAt, command] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.{24})\s+(.*)$/.exec(line) ?? []
    if (!pid || state?.startsWith('Z')) return []
    return [{ pid: Number(pid), parent: Number(parent), command: command ?? '', startedAt: startedAt ?? '' }]
  })
}

export function isRunning(pid: number): boolean {
  return runningProcesses().some((one) => one.pid === pid)
}

/** The children of `pid`, their children and so on. */
export function descendantsOf(pid: number): readonly ProcessFacts[] {
  const all = runningProcesses()
  const found: ProcessFacts[] = []
  let parents = [pid]
  while (parents.length > 0) {
    const children = all.filter((one) => parents.includes(one.parent))
    found.push(...children)
    parents = children.map((one) => one.pid)
  }
  return found
}

/** Which of those known earlier still run. */
export function survivorsOf(known: readonly ProcessFacts[]): readonly ProcessFacts[] {
  const now = new Set(runningProcesses().map(({ pid, startedAt }) => `${pid} ${startedAt}`))
  return known.filter(({ pid, startedAt }) => now.has(`${pid} ${startedAt}`))
}

/** @throws Error naming those that are still there after `limitMs`. */
export async function allGone(known: readonly ProcessFacts[], limitMs = 15_000): Promise<void> {
  try {
    await eventually('processes to end', () => survivorsOf(known).length === 0, { limitMs })
  } catch (cause) {
    const left = survivorsOf(known).map(({ pid, command }) => `${pid} ${command.slice(0, 120)}`)
    throw new Error(`still running after ${limitMs} ms: ${left.join('; ')}`, { cause })
  }
}
