/** The options of a cache: meaning, unit, default and check of each. */
import { getHeapStatistics } from 'node:v8'
import { systemClock, type Clock } from '../core/clock.ts'
import { atLeast, between, integerAtLeast, oneOf, optional, resolveOptions, type Check } from '../core/options.ts'
import type { Listener } from '../core/telemetry.ts'
import type { RedisClient } from '../redis/index.ts'
import type { CacheEvent } from './events.ts'
import { SILENT_BUS, type InvalidationBus } from './invalidation-bus.ts'

export interface CacheOptions {
  /** Unique among the caches that share a Redis or a bus: letters, digits, `_ . : -`. Required. */
  readonly name: string
  /** How long a value counts as fresh, in milliseconds, times a random 0.9 to 1 so that values don't expire together. Required. */
  readonly ttlMs: number
  /** How long after that it may still be served when loading a new one fails, in milliseconds. Default: 0. */
  readonly staleIfErrorMs: number
  /** How long after that it is served at once, while a new one is loaded in the background, in milliseconds. Default: 0. */
  readonly staleWhileRevalidateMs: number
  /** How long a `null` (looked up, not there) is kept, in milliseconds; 0 for not at all. Default: `ttlMs / 10`, at most 30_000. */
  readonly negativeTtlMs: number | undefined
  /** After a failed load with a stale value at hand: how long until the next try, in milliseconds, times a random 0.5 to 1. Default: 2_000. */
  readonly failureThrottleMs: number
  /** The memory that values may take in this process, estimated, in bytes. Default: a tenth of the heap limit, at most 64 MiB. */
  readonly maxBytes: number
  /** Entries held in this process. Default: 1_000_000. */
  readonly maxEntries: number
  /** Longest time for one load, in milliseconds, whoever waits for it. Default: 10_000. */
  readonly loadTimeoutMs: number
  /** The second level, shared between processes and machines. Default: none. */
  readonly redis: RedisClient | undefined
  /** What every key in Redis starts with. Default: 'keelson:cache:'. */
  readonly keyPrefix: string
  /** Longest time that Redis may add to a read, and for any one command to it, in milliseconds. Default: 100. */
  readonly l2TimeoutMs: number
  /** Values larger than this stay out of Redis, in bytes of JSON. Default: 1 MiB. */
  readonly l2MaxValueBytes: number
  /** With Redis: how long this process trusts its own copy before it asks Redis again, in milliseconds. Default: 2_000. */
  readonly maxStalenessMs: number
  /** Changes with the shape of the values: what was stored under another schema is a miss. Default: ''. */
  readonly schema: string
  /** Reaches the other processes of the machine. Default: nobody. */
  readonly bus: InvalidationBus
  /** Deeply freezes values, so that a caller who changes a shared one is told at once. Default: false. */
  readonly freeze: boolean
  /** Default: the system's. */
  readonly clock: Clock
  /** For jitter, from 0 to 1. Default: `Math.random`. */
  readonly random: () => number
  /** Hears this cache's events. Default: nobody. */
  readonly onEvent: Listener<CacheEvent> | undefined
}

/** What `createCache` takes. */
export type CacheConfig = Pick<CacheOptions, 'name' | 'ttlMs'> & {
  readonly [K in keyof CacheOptions]?: CacheOptions[K] | undefined
}

const MIB = 1024 * 1024

export const CACHE_DEFAULTS: Omit<CacheOptions, 'name' | 'ttlMs'> = {
  staleIfErrorMs: 0,
  staleWhileRevalidateMs: 0,
  negativeTtlMs: undefined,
  failureThrottleMs: 2_000,
  maxBytes: Math.min(64 * MIB, Math.floor(getHeapStatistics().heap_size_limit / 10)),
  maxEntries: 1_000_000,
  loadTimeoutMs: 10_000,
  redis: undefined,
  keyPrefix: 'keelson:cache:',
  l2TimeoutMs: 100,
  l2MaxValueBytes: MIB,
  maxStalenessMs: 2_000,
  schema: '',
  bus: SILENT_BUS,
  freeze: false,
  clock: systemClock,
  random: Math.random,
  onEvent: undefined,
}

const MAX_NEGATIVE_TTL_MS = 30_000
/** Ten years: far beyond any sense, and still an integer to Redis. */
export const MAX_TTL_MS = 315_360_000_000

/** Braces would change which node of a Redis cluster a key belongs to. */
const cacheName: Check = (v) =>
  typeof v === 'string' && /^[\w.:-]{1,100}$/.test(v) ? undefined : 'must be 1 to 100 of letters, digits and `_ . : -`'
const aString: Check = (v) => (typeof v === 'string' ? undefined : 'must be a string')
const aDuration: Check = between(0, MAX_TTL_MS)

/** @throws KeelsonError `KEELSON_CONFIG_INVALID` */
export function resolveCacheOptions(given: CacheConfig): Readonly<CacheOptions> & { readonly negativeTtlMs: number } {
  const options = resolveOptions<CacheOptions>('createCache', { ...CACHE_DEFAULTS, name: '', ttlMs: 0 }, given, {
    name: cacheName,
    ttlMs: between(1, MAX_TTL_MS),
    staleIfErrorMs: aDuration,
    staleWhileRevalidateMs: aDuration,
    negativeTtlMs: optional(aDuration),
    failureThrottleMs: aDuration,
    maxBytes: atLeast(1),
    maxEntries: integerAtLeast(1),
    loadTimeoutMs: between(1, MAX_TTL_MS),
    keyPrefix: aString,
    l2TimeoutMs: atLeast(1),
    l2MaxValueBytes: atLeast(1),
    maxStalenessMs: atLeast(0),
    schema: aString,
    freeze: oneOf(true, false),
  })
  return Object.freeze({
    ...options,
    negativeTtlMs: options.negativeTtlMs ?? Math.min(MAX_NEGATIVE_TTL_MS, options.ttlMs / 10),
  })
}

export type ResolvedCacheOptions = ReturnType<typeof resolveCacheOptions>
