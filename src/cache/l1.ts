/** The first level: a bounded map in memory. This is the seam behind which eviction policies differ. */

export interface L1Store<V> {
  /** Reads and counts as a use. */
  get(key: string): V | undefined
  /** Reads without counting as a use. */
  peek(key: string): V | undefined
  /** Stores or replaces; evicts what that takes. Returns whether the value was taken: one too large for the store is not. */
  put(key: string, value: V, bytes: number): boolean
  delete(key: string): void
  clear(): void
  readonly size: number
  /** Never above the limit it was made with. */
  readonly bytes: number
  /** How many entries had to make room so far. */
  readonly evictions: number
}

export interface L1StoreOptions<V> {
  readonly maxBytes: number
  readonly maxEntries: number
  /** Hears of each entry that leaves, for whatever reason; replaced ones included. */
  readonly onRemoved?: (key: string, value: V) => void
}
