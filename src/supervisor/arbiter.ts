/**
 * A process manager without application code: holds the listening socket, keeps workers running, answers probes.
 * Not `node:cluster`: its round-robin hangs clients when a worker dies (https://github.com/nodejs/node/issues/3551),
 * and it closes the socket with the last worker.
 */
import { integerAtLeast, resolveOptions } from '../core/options.ts'
import { openAdminListener, type AdminListener, type AdminOptions, type AdminSource } from './admin.ts'
import { openListener, type ListenAddress, type Listener } from './listener.ts'
import { STOP_CHECKS, STOP_DEFAULTS, type RunOptions, type StopOptions } from './options.ts'
import type { MergeMetrics } from './reports.ts'
import { createRestartPolicy, type RestartOptions } from './restart-policy.ts'
import { supervise, type Supervisor } from './supervisor.ts'
import { processLauncher, type WorkerProgram } from './worker-process.ts'

export interface ArbiterOptions extends Omit<RunOptions, 'listen'> {
  /** Where the service listens: an address, or a listener that is already open; the arbiter then owns it. */
  readonly listen: ListenAddress | Listener
  /** What workers run. */
  readonly worker: WorkerProgram
  /** How many workers. Default: 1. */
  readonly workers?: number | undefined
  /** When dead workers are replaced. Default: `RESTART_DEFAULTS`. */
  readonly restart?: Partial<RestartOptions> | undefined
  /** Adds the last figures of a dead worker to those before. Default: they are kept one by one, at most 1,000. */
  readonly mergeMetrics?: MergeMetrics | undefined
  /** Uniform in [0, 1). Default: `Math.random`. */
  readonly random?: (() => number) | undefined
}

/** The defaults of what can be left out. */
export interface ArbiterSettings extends StopOptions {
  readonly workers: number
}

export const ARBITER_DEFAULTS: ArbiterSettings = { ...STOP_DEFAULTS, workers: 1 }

/**
 * Binds both listeners and starts the first worker; the others follow when it has booted.
 * @throws KeelsonError `KEELSON_LISTEN_FAILED` naming host, port and reason; `KEELSON_CONFIG_INVALID`.
 */
export async function createArbiter(options: ArbiterOptions): Promise<Supervisor> {
  const { listen, admin, worker, restart, mergeMetrics, random, clock, onEvent, ...rest } = options
  const settings = resolveOptions('arbiter', ARBITER_DEFAULTS, rest, { ...STOP_CHECKS, workers: integerAtLeast(1) })
  const policy = createRestartPolicy(restart, random)
  return supervise({ ...settings, maxWorkers: Infinity, policy, mergeMetrics, clock, onEvent }, async (source) => {
    const [listener, adminListener] = await openBoth(listen, admin, source)
    return {
      admin: adminListener,
      publicAddress: () => listener.address,
      launch: processLauncher(worker, listener.fd),
      stopListening: () => listener[Symbol.dispose](),
    }
  })
}

/** Opens both at once: the opener is a process, and takes its time. What is open is closed again if one fails. */
async function openBoth(
  listen: ListenAddress | Listener,
  admin: AdminOptions,
  source: AdminSource,
): Promise<[Listener, AdminListener]> {
  const opening = 'fd' in listen ? Promise.resolve(listen) : openListener(listen)
  const [first, second] = await Promise.allSettled([opening, openAdminListener(admin, source)])
  if (first.status === 'fulfilled' && second.status === 'fulfilled') return [first.value, second.value]
  for (const outcome of [first, second]) if (outcome.status === 'fulfilled') outcome.value[Symbol.dispose]()
  throw first.status === 'rejected' ? first.reason : (second as PromiseRejectedResult).reason
}
