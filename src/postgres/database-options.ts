/** The options of `createDatabase`: every wait has a limit, because every default of `pg` waits for ever. */
import pg from 'pg'
import { systemClock, type Clock } from '../core/clock.ts'
import { between, integerAtLeast, invalidOption, nonEmptyString, resolveOptions, type Check } from '../core/options.ts'
import type { Listener } from '../core/telemetry.ts'
import type { PostgresEvent } from './events.ts'

export interface DatabaseOptions {
  /** Appears in events, metrics and errors. Default: `'main'`. */
  readonly name: string
  /** Where the database is, e.g. `postgres://user:password@host:5432/name`. Either this or `pool` is required. */
  readonly url?: string | undefined
  /**
   * A pool of your own, used as it is and left open at the end; the options that shape a pool, from `max` to
   * `maxLifetimeMs`, are then refused. Default: none.
   */
  readonly pool?: pg.Pool | undefined
  /** Connections at most. Default: 10. */
  readonly max: number
  /** Shown in `pg_stat_activity`. Default: `'keelson'`. */
  readonly applicationName: string
  /** The server ends a statement after this many milliseconds; 0 is never. Default: 5_000. */
  readonly statementTimeoutMs: number
  /** A connection that has not answered for this long is given up, in milliseconds; 0 is never. Default: 6_000. */
  readonly queryTimeoutMs: number
  /** The server ends a statement that waits this long for one lock, in milliseconds; 0 is never. Default: 2_000. */
  readonly lockTimeoutMs: number
  /** The server closes a connection that idles in a transaction this long, in milliseconds; 0 is never. Default: 10_000. */
  readonly idleInTransactionTimeoutMs: number
  /** How long to wait for a free connection, and then for a new one to open, in milliseconds. Default: 1_000. */
  readonly connectionTimeoutMs: number
  /** An unused connection is closed after this many milliseconds. Default: 30_000. */
  readonly idleTimeoutMs: number
  /**
   * A connection is replaced after this many milliseconds, up to a tenth less by chance; `Infinity` is never.
   * Default: 1_800_000.
   */
  readonly maxLifetimeMs: number
  /** Default: the system's. */
  readonly clock: Clock
  /** Returns a number in [0, 1). Default: `Math.random`. */
  readonly random: () => number
  /** Hears this database's events. Default: none. */
  readonly onEvent?: Listener<PostgresEvent> | undefined
}

export const DATABASE_DEFAULTS: DatabaseOptions = {
  name: 'main',
  max: 10,
  applicationName: 'keelson',
  statementTimeoutMs: 5_000,
  queryTimeoutMs: 6_000,
  lockTimeoutMs: 2_000,
  idleInTransactionTimeoutMs: 10_000,
  connectionTimeoutMs: 1_000,
  idleTimeoutMs: 30_000,
  maxLifetimeMs: 30 * 60_000,
  clock: systemClock,
  random: Math.random,
}

/** The longest delay that a Node timer takes (a longer one fires at once), and the longest timeout of a Postgres session. */
const LONGEST_MS = 2_147_483_647

const millisecondsFrom =
  (min: number): Check =>
  (v) =>
    Number.isSafeInteger(v) && between(min, LONGEST_MS)(v) === undefined
      ? undefined
      : `must be an integer from ${min} to ${LONGEST_MS}`

const lifetime: Check = (v) => {
  const problem = between(1, LONGEST_MS)(v)
  return problem && v !== Infinity ? `${problem}, or Infinity` : undefined
}

/** With a pool of the caller's these have no effect, so giving one is a mistake. */
const SHAPES_THE_POOL = [
  'max',
  'applicationName',
  'statementTimeoutMs',
  'queryTimeoutMs',
  'lockTimeoutMs',
  'idleInTransactionTimeoutMs',
  'idleTimeoutMs',
  'maxLifetimeMs',
] as const

/** @throws KeelsonError `KEELSON_CONFIG_INVALID`; never with the URL in it, which has a password. */
export function resolveDatabaseOptions(given: Partial<DatabaseOptions>): DatabaseOptions {
  const { url, pool, ...rest } = given
  if ((url === undefined) === (pool === undefined))
    throw invalidOption('createDatabase', 'url', 'or `pool` is needed, and not both', 'neither or both')
  const shaping = pool && SHAPES_THE_POOL.find((option) => rest[option] !== undefined)
  if (shaping) throw invalidOption('createDatabase', shaping, 'has no effect on a `pool` of your own', rest[shaping])
  const options = resolveOptions('createDatabase', DATABASE_DEFAULTS, rest, {
    name: nonEmptyString,
    max: integerAtLeast(1),
    applicationName: nonEmptyString,
    statementTimeoutMs: millisecondsFrom(0),
    queryTimeoutMs: millisecondsFrom(0),
    lockTimeoutMs: millisecondsFrom(0),
    idleInTransactionTimeoutMs: millisecondsFrom(0),
    connectionTimeoutMs: millisecondsFrom(1),
    idleTimeoutMs: millisecondsFrom(1),
    maxLifetimeMs: lifetime,
    onEvent: () => undefined,
  })
  return { ...options, url, pool }
}

/** Opens nothing yet. The settings of a session travel in its startup message, so no statement is spent on them. */
export function createPool(options: DatabaseOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.max,
    application_name: options.applicationName,
    statement_timeout: sentAlsoIfZero(options.statementTimeoutMs),
    query_timeout: options.queryTimeoutMs,
    lock_timeout: sentAlsoIfZero(options.lockTimeoutMs),
    idle_in_transaction_session_timeout: sentAlsoIfZero(options.idleInTransactionTimeoutMs),
    connectionTimeoutMillis: options.connectionTimeoutMs,
    idleTimeoutMillis: options.idleTimeoutMs,
    keepAlive: true,
  })
  // The pool reads this once per new connection: connections that were opened together must not end together.
  Object.defineProperty(pool.options, 'maxLifetimeSeconds', {
    enumerable: true,
    // For the pool, 0 is never.
    get: () => (options.maxLifetimeMs === Infinity ? 0 : (options.maxLifetimeMs * (1 - options.random() / 10)) / 1_000),
  })
  return pool
}

/**
 * A limit of the session, as text: `pg` does not send the number 0, and then a limit of the role or of the database
 * applies. Text is what `pg` gets when the limit stands in a URL; only its types don't tell.
 */
function sentAlsoIfZero(ms: number): number {
  return String(ms) as unknown as number
}

/** For a session whose user sets what limits it needs. */
export const NO_LIMITS: pg.ClientConfig = {
  statement_timeout: sentAlsoIfZero(0),
  query_timeout: 0,
  lock_timeout: sentAlsoIfZero(0),
  idle_in_transaction_session_timeout: sentAlsoIfZero(0),
}

export interface Target {
  readonly host: string
  readonly port: number
  readonly database: string
}

/** Where a pool connects to, worked out by `pg` itself, environment included; without user or password. */
export function targetOf(pool: pg.Pool): Target {
  try {
    const { host, port, database = '' } = new pg.Client(clientConfig(pool))
    return { host, port, database }
  } catch {
    throw invalidOption('createDatabase', 'url', 'must be a Postgres URL', 'something else (not shown)')
  }
}

/** What the pool gives to each client, for one outside the pool. */
export function clientConfig(pool: pg.Pool): pg.ClientConfig {
  // The pool makes `password` non-enumerable, so the spread alone would lose it.
  return { ...pool.options, ...(pool.options.password === undefined ? {} : { password: pool.options.password }) }
}
