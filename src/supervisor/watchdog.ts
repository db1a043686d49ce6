/**
 * A thread in the worker's process that goes on when the event loop stands still, and kills the process when that has
 * outlived its arbiter. The death of a parent shows in the parent's id, which becomes that of init or of a subreaper
 * (prctl(2), PR_SET_CHILD_SUBREAPER); if the arbiter is process 1 of a container, the kernel ends the worker with it.
 */
import { Worker as Thread } from 'node:worker_threads'

export interface WatchdogOptions {
  /** The parent of this process while all is well. */
  readonly arbiterPid: number
  /** How long the process may outlive its arbiter, in milliseconds; noticing takes up to half a second more. */
  readonly orphanMs: number
}

/** How often the thread looks, in milliseconds. */
const LOOK_EVERY_MS = 500

/** Far more than a timer needs. The thread must not grow where nobody looks for it. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 }

/**
 * Starts the thread, which neither keeps the process alive nor holds up its exit. Where there can be none (no thread
 * left, or none allowed), that is a process warning, `KEELSON_WATCHDOG_FAILED`: the service works without.
 */
export function startWatchdog({ arbiterPid, orphanMs }: WatchdogOptions): void {
  const facts = { arbiterPid, everyMs: LOOK_EVERY_MS, looks: Math.ceil(orphanMs / LOOK_EVERY_MS) }
  try {
    // As text, because a file would have to be found both in the sources and in the build.
    const thread = new Thread(`(${watch.toString()})(${JSON.stringify(facts)})`, {
      eval: true,
      name: 'keelson-watchdog',
      // Preloads meant for the service have no business here.
      execArgv: [],
      env: {},
      resourceLimits: RESOURCE_LIMITS,
    })
    thread.on('error', warn)
    thread.unref()
  } catch (error) {
    warn(error)
  }
}

/** Runs in the thread; sees nothing of this module, nor of `core/clock.ts`. */
function watch({ arbiterPid, everyMs, looks }: { arbiterPid: number; everyMs: number; looks: number }): void {
  const { setInterval: every } = process.getBuiltinModule('node:timers')
  // Counted, not timed: after a SIGSTOP of the whole process the event loop gets its time to leave all the same.
  let orphanedFor = 0
  every(() => {
    if (process.ppid === arbiterPid) return
    if (orphanedFor === looks) process.kill(process.pid, 'SIGKILL')
    orphanedFor += 1
  }, everyMs)
}

function warn(error: unknown): void {
  const reason = error instanceof Error ? error.message : String(error)
  process.emitWarning(`without its watchdog a worker that hangs may outlive its arbiter: ${reason}`, {
    code: 'KEELSON_WATCHDOG_FAILED',
  })
}
