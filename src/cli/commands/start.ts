/** `keelson start`: arbiter, workers, probes; in development with everything a service needs brought along. */
import { relative } from 'node:path'
import { resolveConfig, type Config, type Environment, type Settings } from '../../app/config/index.ts'
import type { EmbeddedPostgres } from '../../embedded/index.ts'
import { systemClock } from '../../core/clock.ts'
import { EXIT_CODES, openListener, type Supervisor } from '../../supervisor/index.ts'
import { banner } from '../banner.ts'
import type { Command } from '../command.ts'
import { withDevelopmentKey, withVariables } from '../development.ts'
import { DATABASE_FOLDER, embeddedDatabase } from '../embedded-database.ts'
import type { Invocation } from '../invocation.ts'
import { createProgress, type Progress } from '../progress.ts'
import { runService, type RunningService } from '../run-service.ts'

export const start: Command = {
  usage: 'start [--development] [--single] [--env-file FILE] [service file]',
  about: [
    'Runs the service: an arbiter that holds the port, worker processes (WORKERS) and an admin listener with probes',
    'and metrics. Production is the default; --development uses loopback, an embedded Postgres and its own signing key.',
    '',
    'Signals: TERM drains and stops. INT stops without the drain delay, a second INT at once. TTIN and TTOU add and',
    'remove a worker.',
  ].join('\n'),
  options: { single: { type: 'boolean' } },
  optionHelp: { single: 'one process, without an arbiter; the same probes and drain' },
  run: (invocation) => (invocation.mode === 'development' ? startForDevelopment(invocation) : startForProduction(invocation)),
}

async function startForProduction(invocation: Invocation): Promise<number> {
  const config = await resolveForStart(invocation, invocation.environment)
  using running = await runService({ ...serviceOf(invocation), config, environment: invocation.environment })
  return await running.supervisor.exited
}

async function startForDevelopment(invocation: Invocation): Promise<number> {
  const progress = createProgress()
  using interrupt = interruptible()
  try {
    return await runForDevelopment(invocation, progress, interrupt)
  } catch (error) {
    if (!interrupt.signal.aborted) throw error
    progress.done()
    return EXIT_CODES.interrupted
  }
}

async function runForDevelopment(invocation: Invocation, progress: Progress, interrupt: Interrupt): Promise<number> {
  const keyed = withDevelopmentKey(invocation.environment)
  const config = await resolveForStart(invocation, keyed)
  // Before the database, whose first start takes seconds: a port in use is then told at once.
  using listener = invocation.flag('single')
    ? undefined
    : await openListener({ host: config.settings.HOST, port: config.settings.PORT }, interrupt.signal)
  await using database = await embeddedDatabase(keyed, progress, interrupt.signal)
  const environment = database ? withVariables(keyed, { DATABASE_URL: database.url }) : keyed
  interrupt.signal.throwIfAborted()
  progress.keep('starting the service')
  using running = await runService({ ...serviceOf(invocation), config, environment, listener })
  interrupt[Symbol.dispose]()
  if (interrupt.signal.aborted) void running.supervisor.stop()
  // The supervisor leaves it alone; here it means that the terminal was closed.
  process.on('SIGHUP', () => void running.supervisor.stop())
  void announce(running, config, database, progress)
  return await running.supervisor.exited
}

function serviceOf(invocation: Invocation): { servicePath: string; mode: Invocation['mode']; single: boolean } {
  return { servicePath: invocation.servicePath, mode: invocation.mode, single: invocation.flag('single') }
}

/**
 * The arbiter needs no more than Keelson's own settings, and doesn't import the service. Only to report every problem
 * at once, when there is one, is the service asked for its part.
 */
async function resolveForStart(invocation: Invocation, environment: Environment): Promise<Config> {
  try {
    return resolveConfig({ environment, mode: invocation.mode })
  } catch (error) {
    // In development a database comes along.
    const service = await invocation.loadService().catch(() => undefined)
    const database = service?.migrations !== undefined && invocation.mode === 'production'
    resolveConfig({ environment, mode: invocation.mode, needs: { env: service?.env, database } })
    throw error
  }
}

interface Interrupt extends Disposable {
  readonly signal: AbortSignal
}

/** Until the supervisor takes the signals over, they give the start up. */
function interruptible(): Interrupt {
  const controller = new AbortController()
  const stop = (): void => controller.abort(new Error('interrupted'))
  process.on('SIGINT', stop).on('SIGTERM', stop).on('SIGHUP', stop)
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => void process.off('SIGINT', stop).off('SIGTERM', stop).off('SIGHUP', stop),
  }
}

/** A start that takes so long is worth a word. */
const TELL_AFTER_MS = 8_000

function notYet(supervisor: Supervisor): string {
  const reasons = new Set(supervisor.state().workers.flatMap((worker) => worker.reasons))
  return `not ready yet: ${[...reasons].join(', ') || 'booting'}; going on trying`
}

async function announce(
  { supervisor, workers, servicePath }: RunningService,
  { settings }: Config,
  database: EmbeddedPostgres | undefined,
  progress: Progress,
): Promise<void> {
  using _impatience = systemClock.after(TELL_AFTER_MS, () => console.error(notYet(supervisor)))
  try {
    await supervisor.whenReady()
    const { public: service, admin } = supervisor.addresses
    const startupMs = process.uptime() * 1_000
    const facts = { servicePath: relative('.', servicePath), settings, service: service!, admin, workers, startupMs }
    const text = await banner({ ...facts, database: aboutDatabase(settings, database), redis: aboutRedis(settings) })
    progress.done()
    console.log(text)
  } catch {
    // It ended before it was ready, and has said why.
    progress.done()
  }
}

function aboutDatabase(settings: Settings, database: EmbeddedPostgres | undefined): string {
  if (database) return `embedded ${database.version}, data in ${relative('.', DATABASE_FOLDER)}`
  return settings.DATABASE_URL ? 'as DATABASE_URL says' : 'none'
}

function aboutRedis(settings: Settings): string {
  return settings.REDIS_URL ? 'as REDIS_URL says' : 'none: caches live in the workers, which tell each other what changed'
}
