/** Runs a service under the supervisor, from resolved settings to the exit code. */
import { createLogger, logEvents } from '../http/logging/index.ts'
import { supervisorMetrics } from '../http/metrics/index.ts'
import { workerCount, type Config, type Environment, type Mode } from '../app/config/index.ts'
import { createArbiter, openListener, runSingle, type Listener, type Supervisor } from '../supervisor/index.ts'
import { createAdminPages, mergeRetired } from './admin-pages.ts'
import { bootService } from './boot-service.ts'

const DEVELOPMENT_IDLE_GRACE_MS = 500

export interface RunServiceOptions {
  readonly servicePath: string
  readonly mode: Mode
  readonly config: Config
  /** What workers get as their whole environment. */
  readonly environment: Environment
  /** One process, without an arbiter. */
  readonly single: boolean
  /** Opened already, while something else took its time. */
  readonly listener?: Listener | undefined
}

export interface RunningService extends Disposable {
  readonly supervisor: Supervisor
  readonly workers: number
  readonly servicePath: string
}

/** @throws KeelsonError `KEELSON_LISTEN_FAILED`. */
export async function runService(options: RunServiceOptions): Promise<RunningService> {
  const { settings } = options.config
  const workers = options.single ? 1 : workerCount(settings)
  // In development the banner tells the story; only what goes wrong is worth a line.
  const level = options.mode === 'development' && settings.LOG_LEVEL === 'info' ? 'warn' : settings.LOG_LEVEL
  const log = createLogger({ name: 'arbiter', level })
  const { pages, table } = createAdminPages({ node: process.version, pid: process.pid, mode: options.mode })
  const watching = [logEvents(log.logger), supervisorMetrics(table)]
  const common = {
    listen: { host: settings.HOST, port: settings.PORT },
    admin: { host: settings.KEELSON_ADMIN_HOST, port: settings.KEELSON_ADMIN_PORT, pages },
    drainDelayMs: settings.DRAIN_DELAY_MS,
    drainTimeoutMs: settings.DRAIN_TIMEOUT_MS,
    // Else Ctrl-C would wait for an open browser tab.
    ...(options.mode === 'development' ? { idleGraceMs: DEVELOPMENT_IDLE_GRACE_MS } : {}),
  }
  const supervisor = options.single
    ? await runSingle({ ...common, boot: (agent) => bootService(options, agent) })
    : await createArbiter({
        ...common,
        listen: options.listener ?? (await openListener(common.listen)),
        workers,
        mergeMetrics: mergeRetired,
        worker: {
          entry: new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url),
          args: [options.servicePath, options.mode],
          env: options.environment.flatten(),
        },
      })
  return {
    supervisor,
    workers,
    servicePath: options.servicePath,
    [Symbol.dispose]() {
      for (const one of watching) one[Symbol.dispose]()
      log[Symbol.dispose]()
    },
  }
}
