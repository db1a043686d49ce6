/** What the two halves of a cache, reading and invalidating, share. */
import { createEmitter, type Listener } from '../core/telemetry.ts'
import { Claims } from './claims.ts'
import { CACHE_CHANNEL, type CacheEvent, type StaleReason } from './events.ts'
import { MemoryLevel } from './memory-level.ts'
import type { ResolvedCacheOptions } from './options.ts'
import { RedisLevel } from './redis-level.ts'
import { newCounters, type CacheCounters } from './snapshot.ts'

export interface CacheParts<T> {
  readonly options: ResolvedCacheOptions
  readonly memory: MemoryLevel<T>
  readonly redis: RedisLevel | undefined
  readonly claims: Claims
  readonly counters: CacheCounters
  readonly emit: Listener<CacheEvent>
}

export function assembleParts<T>(options: ResolvedCacheOptions): CacheParts<T> {
  const emit = createEmitter<CacheEvent>(CACHE_CHANNEL, options.onEvent)
  const source = options.name
  const redis =
    options.redis &&
    new RedisLevel(options.redis, options, {
      onOpened: (reason) => emit({ type: 'l2.opened', source, reason }),
      onClosed: (openMs) => emit({ type: 'l2.closed', source, openMs }),
      onReplayed: (replayed) => emit({ type: 'invalidation.replayed', source, replayed }),
    })
  return { options, memory: new MemoryLevel(options), redis, claims: new Claims(), counters: newCounters(), emit }
}

export function countStale({ counters, emit, options }: CacheParts<unknown>, reason: StaleReason): void {
  counters.staleServed++
  emit({ type: 'stale.served', source: options.name, reason })
}

/** The moment until which an entry that was seen to be valid at `seenAt` needs no second look. */
export function trustedUntil({ options, redis }: CacheParts<unknown>, seenAt: number): number {
  return redis ? seenAt + options.maxStalenessMs : Infinity
}

/** Spreads lifetimes, so that what was stored together does not expire together. */
export function jittered(ttlMs: number, random: () => number): number {
  return ttlMs * (0.9 + random() / 10)
}
