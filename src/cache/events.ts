/**
 * What a cache says about itself, on the channel `keelson:cache`; never a key or a value.
 * Hits and misses are too many for events: they are counters in the snapshot.
 */

export type CacheEvent =
  /** A loader threw, or took too long. `keys` is how many it was to load. */
  | {
      readonly type: 'load.failed'
      readonly source: string
      readonly keys: number
      readonly durationMs: number
      readonly error: unknown
    }
  /** Old values were served: while new ones are loaded, or because that failed just now or a moment ago. */
  | { readonly type: 'stale.served'; readonly source: string; readonly reason: StaleReason }
  /** A loaded value was handed to those who waited but not stored, because it was invalidated meanwhile. */
  | { readonly type: 'fill.refused'; readonly source: string; readonly level: 'l1' | 'l2' }
  /** A value cannot be kept at this level. */
  | { readonly type: 'value.refused'; readonly source: string; readonly level: 'l1' | 'l2'; readonly reason: RefusalReason }
  /** Redis failed: it is left alone until it answers again. `reason` is an error code or name. */
  | { readonly type: 'l2.opened'; readonly source: string; readonly reason: string }
  /** Redis answers again, and has been told every invalidation that it missed. */
  | { readonly type: 'l2.closed'; readonly source: string; readonly openMs: number }
  /** Redis could not be told; it will be. */
  | { readonly type: 'invalidation.deferred'; readonly source: string; readonly pending: number }
  /** Redis was told what it had missed. */
  | { readonly type: 'invalidation.replayed'; readonly source: string; readonly replayed: number }

export type StaleReason = 'revalidating' | 'error' | 'throttled'

/** `not_json`: it would not come back equal from JSON, or is nested too deeply for it. `too_large`: above a limit, or cyclic. */
export type RefusalReason = 'not_json' | 'too_large'

export const CACHE_CHANNEL = 'keelson:cache'
