/** What a cache shows of itself to health, metrics and the ops page. */
import { createRegistry, type Registry } from '../core/registry.ts'

/** Counted since the cache was made. */
export interface CacheCounters {
  l1Hits: number
  l2Hits: number
  /** Reads that found nothing fresh at either level. */
  misses: number
  /** Reads that waited for a load that another had started. */
  coalesced: number
  /** Calls to a loader; one for a whole batch. */
  loads: number
  /** Those that threw or took too long. */
  loadFailures: number
  /** Those given up because nobody waited any more. */
  loadsAbandoned: number
  /** Reads answered with an old value. */
  staleServed: number
  /** Loaded values not stored because they were invalidated meanwhile. */
  fillsRefused: number
  /** Values too large or unfit for a level. */
  valuesRefused: number
  /** Invalidations asked of this cache, and heard from the bus. */
  invalidations: number
}

export interface CacheSnapshot extends Readonly<CacheCounters> {
  readonly name: string
  /** Held in this process. */
  readonly entries: number
  /** Estimated, of those entries. */
  readonly bytes: number
  readonly maxBytes: number
  readonly evictions: number
  readonly loadsInFlight: number
  /** `open`: Redis fails and is left alone; `none`: there is no second level. */
  readonly l2: 'none' | 'closed' | 'open'
  /** Keys and tags that Redis has yet to be told of. */
  readonly pendingInvalidations: number
}

/** Live caches. */
export const caches: Registry<CacheSnapshot> = createRegistry<CacheSnapshot>()

export function newCounters(): CacheCounters {
  return {
    l1Hits: 0,
    l2Hits: 0,
    misses: 0,
    coalesced: 0,
    loads: 0,
    loadFailures: 0,
    loadsAbandoned: 0,
    staleServed: 0,
    fillsRefused: 0,
    valuesRefused: 0,
    invalidations: 0,
  }
}
