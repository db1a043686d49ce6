/**
 * A service in one process: the arbiter's loop with one worker, which is this process itself.
 * The same probes, signals and drain; but nobody replaces it, so its end is the service's end.
 */
import { systemClock, type Clock } from '../core/clock.ts'
import { resolveOptions } from '../core/options.ts'
import { openAdminListener } from './admin.ts'
import { BACKLOG } from './listener.ts'
import { STOP_CHECKS, STOP_DEFAULTS, type RunOptions } from './options.ts'
import type { RestartPolicy } from './restart-policy.ts'
import type { Boot } from './service-host.ts'
import { supervise, type Supervisor } from './supervisor.ts'
import type { ToWorker } from './protocol.ts'
import { Agent, type SupervisorLink } from './worker-agent.ts'
import type { Launch, WorkerBody } from './worker.ts'

export interface SingleOptions extends RunOptions {
  /** Makes the service. What it throws is printed, and ends the service with exit code 78 or 1. */
  readonly boot: Boot
}

/** Whatever ends the only worker ends the service. */
const NEVER_RESTART: RestartPolicy = {
  booted() {},
  ready() {},
  died: () => ({ delayMs: 0, failures: 1, giveUp: true }),
}

/**
 * Opens the admin listener, then boots the service, which listens by itself. The end of the returned supervisor does
 * not end the process, and what the service has left open stays open: give `exited` to `process.exit`.
 * @throws KeelsonError `KEELSON_LISTEN_FAILED` for the admin listener; `KEELSON_CONFIG_INVALID`.
 */
export async function runSingle(options: SingleOptions): Promise<Supervisor> {
  const { boot, listen, admin, clock = systemClock, onEvent, ...rest } = options
  const settings = resolveOptions('single', STOP_DEFAULTS, rest, STOP_CHECKS)
  const fixed = { workers: 1, maxWorkers: 1, policy: NEVER_RESTART, mergeMetrics: undefined }
  let worker: ThisProcess | undefined
  return supervise({ ...settings, ...fixed, clock, onEvent }, async (source) => ({
    admin: await openAdminListener(admin, source),
    publicAddress: () => worker?.agent.address,
    launch(launch) {
      worker = new ThisProcess(launch, clock, settings.handleSignals)
      const { agent } = worker
      // In a turn of its own, as in a process: the launcher has to return first.
      queueMicrotask(() => void agent.run(boot, { ...listen, backlog: BACKLOG }))
      return worker
    },
    stopListening() {},
  }))
}

/** A worker that is no process of its own: messages are calls. */
class ThisProcess implements WorkerBody {
  readonly pid: number = process.pid
  readonly agent: Agent
  readonly #launch: Launch
  readonly #onStray = (error: unknown): void => this.agent.stray(error)
  #ended = false

  constructor(launch: Launch, clock: Clock, catchStrays: boolean) {
    this.#launch = launch
    this.agent = new Agent(this.#link(), clock)
    if (catchStrays) process.on('uncaughtException', this.#onStray)
  }

  send(message: ToWorker): void {
    this.agent.obey(message)
  }

  /** Nothing can be killed here but everything; so the connections are cut, and what the service does then is not awaited. */
  kill(): void {
    this.#end(null)
    void this.agent.leave({ timeoutMs: 0 })
  }

  #link(): SupervisorLink {
    return {
      id: this.#launch.id,
      workerCount: this.#launch.workerCount,
      send: (message, done) => {
        this.#launch.onMessage(message)
        done?.()
      },
      exit: (code) => this.#end(code),
    }
  }

  #end(code: number | null): void {
    if (this.#ended) return
    this.#ended = true
    process.off('uncaughtException', this.#onStray)
    this.#launch.onExit(code, null)
  }
}
