/** The main program of a worker process: an agent whose link is the pipe to the arbiter, and who dies with it. */
import { systemClock, type Clock } from '../core/clock.ts'
import { notSupervised } from './errors.ts'
import { EXIT_CODES } from './exit-codes.ts'
import { BACKLOG } from './listener.ts'
import { LISTEN_FD, PROTOCOL_VERSION, WORKER_ENV, type ToWorker } from './protocol.ts'
import type { Boot } from './service-host.ts'
import { startWatchdog } from './watchdog.ts'
import { Agent, type SupervisorLink } from './worker-agent.ts'

/** How long a worker may outlive its arbiter, in milliseconds; its requests get three quarters of that. */
const ORPHAN_MS = 2_000

/** What the event loop gets beyond that to end the worker itself, before the watchdog does, in milliseconds. */
const HANG_MARGIN_MS = 500

/** The arbiter decides about these; a service manager or a terminal may send them to every process of the service. */
const LEFT_TO_THE_ARBITER = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/**
 * Runs a service as one worker of the arbiter that started this process, and ends the process when the service ends.
 * What `boot` throws is printed; the exit code is then 78 if the configuration is wrong, else 1.
 * @throws KeelsonError `KEELSON_NOT_SUPERVISED` in a process that no arbiter started.
 */
export async function runWorker(boot: Boot, clock: Clock = systemClock): Promise<void> {
  if (!process.send || process.env[WORKER_ENV.version] !== String(PROTOCOL_VERSION)) throw notSupervised()
  const arbiterPid = process.ppid
  const agent = new Agent(arbiterLink(), clock)
  const dieWithArbiter = (): void => {
    clock.after(ORPHAN_MS, () => process.kill(process.pid, 'SIGKILL'))
    process.exitCode = EXIT_CODES.failure
    void agent.leave({ timeoutMs: ORPHAN_MS * 0.75, idleGraceMs: ORPHAN_MS / 4 })
  }
  for (const signal of LEFT_TO_THE_ARBITER) process.on(signal, () => {})
  process.on('uncaughtException', (error) => agent.stray(error))
  process.on('message', (message) => agent.obey(message as ToWorker))
  process.on('disconnect', dieWithArbiter)
  if (!process.connected) dieWithArbiter()
  await agent.run(boot, { fd: LISTEN_FD, backlog: BACKLOG })
  // Not before: its thread takes 13 ms of processor time, which would slow the boot down.
  if (agent.address) startWatchdog({ arbiterPid, orphanMs: ORPHAN_MS + HANG_MARGIN_MS })
}

function arbiterLink(): SupervisorLink {
  return {
    id: Number(process.env[WORKER_ENV.id]),
    workerCount: Number(process.env[WORKER_ENV.count]),
    send(message, done = () => {}) {
      // An arbiter that is gone hears nothing; `disconnect` says so.
      if (process.connected) process.send?.(message, undefined, undefined, done)
      else done()
    },
    exit: (code) => process.exit(code || process.exitCode),
  }
}
