/**
 * A Redis connection that fails fast: no offline queue, no resending, a time limit per command, and reconnecting
 * in the background for ever. With ioredis' own defaults a command to a stopped Redis waits for ever, and one that
 * timed out is sent again later (https://github.com/redis/ioredis/pull/2131).
 */
import type { Redis } from 'ioredis'
import { untilAborted } from '../core/abort.ts'
import { systemClock, type Clock } from '../core/clock.ts'
import { KeelsonError } from '../core/errors.ts'
import { atLeast, invalidOption, nonEmptyString, resolveOptions } from '../core/options.ts'
import { createRegistry, type Registry } from '../core/registry.ts'
import { createEmitter, type Listener } from '../core/telemetry.ts'
import { REDIS_CHANNEL, type RedisEvent } from './events.ts'

export interface RedisOptions {
  /** `redis://`, `rediss://` or `unix://`, with user, password and database number where needed. Required. */
  readonly url: string
  /** In events, in snapshots and as the connection's name at the server. Default: 'redis'. */
  readonly name: string
  /** Longest time for one command, in milliseconds. Default: 100. */
  readonly commandTimeoutMs: number
  /** Longest time for one try to connect, and for `connectRedis` to wait for the first, in milliseconds. Default: 1_000. */
  readonly connectTimeoutMs: number
  /** Default: the system's. */
  readonly clock: Clock
  /** For the jitter of reconnecting. Default: `Math.random`. */
  readonly random: () => number
  /** Hears this connection's events. Default: nobody. */
  readonly onEvent: Listener<RedisEvent> | undefined
}

export const REDIS_DEFAULTS: Omit<RedisOptions, 'url'> = {
  name: 'redis',
  commandTimeoutMs: 100,
  connectTimeoutMs: 1_000,
  clock: systemClock,
  random: Math.random,
  onEvent: undefined,
}

export type RedisConnectionOptions = Pick<RedisOptions, 'url'> & {
  readonly [K in keyof RedisOptions]?: RedisOptions[K] | undefined
}

export interface RedisSnapshot {
  readonly name: string
  readonly ready: boolean
  /** Times that the connection was lost or could not be made. */
  readonly failures: number
}

export interface RedisConnection extends AsyncDisposable {
  readonly name: string
  /** The ioredis client: what a cache, a rate limit or the service itself talks to. */
  readonly client: Redis
  /** Milliseconds that one PING took. @throws what the client throws when there is no answer in time. */
  ping(signal?: AbortSignal): Promise<number>
  snapshot(): RedisSnapshot
  /** Ends the connection and the reconnecting; takes at most `commandTimeoutMs`, also when Redis hangs. */
  close(): Promise<void>
}

/** Live connections, for health and metrics. */
export const redisConnections: Registry<RedisSnapshot> = createRegistry<RedisSnapshot>()

/** The first wait before reconnecting, and the longest, in milliseconds; short, so that recovery takes less than a second. */
const RECONNECT_BASE_MS = 50
const RECONNECT_MAX_MS = 800
/** A server that stays read-only is left at most once in this time, in milliseconds: reconnecting fails what others have sent. */
const LEAVE_REPLICA_EVERY_MS = 10_000

/**
 * Waits for the first connection or its failure, at most `connectTimeoutMs`; a Redis that is down is no error here.
 * @throws KeelsonError `KEELSON_CONFIG_INVALID` for options that cannot work; `KEELSON_REDIS_CLIENT_MISSING` without ioredis.
 */
export async function connectRedis(given: RedisConnectionOptions): Promise<RedisConnection> {
  const options = resolveOptions<RedisOptions>('connectRedis', { ...REDIS_DEFAULTS, url: '' }, given, {
    url: nonEmptyString,
    name: nonEmptyString,
    commandTimeoutMs: atLeast(1),
    connectTimeoutMs: atLeast(1),
  })
  const { name, clock } = options
  const client = await newClient(options)
  const emit = createEmitter<RedisEvent>(REDIS_CHANNEL, options.onEvent)
  const settled = Promise.withResolvers<void>()
  let failures = 0
  let reason = 'closed'
  // Without this listener ioredis writes to standard error.
  client.on('error', (error: Error) => {
    reason = reasonOf(error)
  })
  client.on('close', () => {
    if (closing) return
    failures++
    emit({ type: 'connection.failed', source: name, reason })
    settled.resolve()
  })
  client.on('ready', () => {
    reason = 'closed'
    emit({ type: 'connection.ready', source: name })
    settled.resolve()
  })

  const snapshot = (): RedisSnapshot => ({ name, ready: client.status === 'ready', failures })
  const listed = redisConnections.add({ name, snapshot })
  let closing: Promise<void> | undefined
  const close = (): Promise<void> =>
    (closing ??= end(client, options).finally(() => {
      listed[Symbol.dispose]()
      emit({ type: 'connection.closed', source: name })
    }))

  using _limit = clock.after(options.connectTimeoutMs, settled.resolve)
  await settled.promise
  return {
    name,
    client,
    snapshot,
    close,
    async ping(signal) {
      signal?.throwIfAborted()
      const startedAt = clock.now()
      await (signal ? untilAborted(client.ping(), signal) : client.ping())
      return clock.now() - startedAt
    },
    [Symbol.asyncDispose]: close,
  }
}

async function newClient({ url, name, commandTimeoutMs, connectTimeoutMs, clock, random }: RedisOptions): Promise<Redis> {
  const ioredis = await import('ioredis').catch((cause: unknown) => {
    throw new KeelsonError('KEELSON_REDIS_CLIENT_MISSING', 'internal', 'the package `ioredis` is needed to use Redis', { cause })
  })
  return new ioredis.Redis(addressOf(url), {
    connectionName: name,
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // Half of the delay is certain: a wait near 0 would hammer a server that is starting.
    retryStrategy: (attempt) => Math.min(RECONNECT_MAX_MS, RECONNECT_BASE_MS * 2 ** (attempt - 1)) * (0.5 + random() / 2),
    reconnectOnError: leavesReplica(clock),
  })
}

/** After a failover the old primary is a replica: leave it. But the address may lead to no other, so not for each write. */
function leavesReplica(clock: Clock): (error: Error) => boolean {
  let leftAt = -Infinity
  return (error) => {
    const now = clock.now()
    if (!error.message.startsWith('READONLY') || now < leftAt + LEAVE_REPLICA_EVERY_MS) return false
    leftAt = now
    return true
  }
}

function addressOf(url: string): string {
  const protocol = URL.parse(url)?.protocol
  if (protocol === 'redis:' || protocol === 'rediss:') return url
  if (protocol === 'unix:') return url.slice('unix://'.length)
  // The value may hold a password, so it is not repeated.
  throw invalidOption('connectRedis', 'url', 'must start with redis://, rediss:// or unix://', 'something else')
}

async function end(client: Redis, { clock, commandTimeoutMs }: RedisOptions): Promise<void> {
  const limit = Promise.withResolvers<void>()
  using _limit = clock.after(commandTimeoutMs, limit.resolve)
  // QUIT lets commands that were sent be answered; a server that hangs is not waited for.
  if (client.status === 'ready') await Promise.race([client.quit().catch(() => {}), limit.promise])
  client.disconnect()
}

/** A code, never the message: that may quote the server's address. */
function reasonOf(error: Error): string {
  if ('code' in error && typeof error.code === 'string') return error.code
  return error.name === 'ReplyError' ? (error.message.split(' ')[0] ?? 'ReplyError') : error.name
}
