/** The first level as the cache sees it: entries by key, found by tag, dropped when no window holds them any more. */
import { deepFreeze } from './freeze.ts'
import { staleMs, type Entry } from './entry.ts'
import type { L1Store } from './l1.ts'
import type { ResolvedCacheOptions } from './options.ts'
import { S3Fifo } from './s3-fifo.ts'
import { TagIndex } from './tag-index.ts'

/** The map slot, the list node and the entry object; and per tag a place in its index. */
const ENTRY_BYTES = 200
const TAG_BYTES = 64

export class MemoryLevel<T> {
  readonly #tags = new TagIndex()
  readonly #store: L1Store<Entry<T>>
  readonly #options: ResolvedCacheOptions
  readonly #staleMs: number

  constructor(options: ResolvedCacheOptions) {
    this.#options = options
    this.#staleMs = staleMs(options)
    const { maxBytes, maxEntries } = options
    this.#store = new S3Fifo({ maxBytes, maxEntries, onRemoved: (key, entry) => this.#tags.remove(key, entry.tags) })
  }

  get size(): number {
    return this.#store.size
  }

  get bytes(): number {
    return this.#store.bytes
  }

  get evictions(): number {
    return this.#store.evictions
  }

  /** Counts as a use. */
  get(key: string, now: number): Entry<T> | undefined {
    const entry = this.#store.get(key)
    if (!entry || now < entry.freshUntil + this.#staleMs) return entry
    this.#store.delete(key)
    return undefined
  }

  peek(key: string): Entry<T> | undefined {
    return this.#store.peek(key)
  }

  /** @param weight of the value, in bytes. Returns whether the entry was taken. */
  put(key: string, entry: Entry<T>, weight: number): boolean {
    if (this.#options.freeze) deepFreeze(entry.value)
    const tagBytes = entry.tags.reduce((sum, tag) => sum + TAG_BYTES + tag.length * 2, 0)
    const taken = this.#store.put(key, entry, ENTRY_BYTES + key.length * 2 + tagBytes + weight)
    if (taken) this.#tags.add(key, entry.tags)
    return taken
  }

  dropKeys(keys: readonly string[]): void {
    for (const key of keys) this.#store.delete(key)
  }

  dropTags(tags: readonly string[]): void {
    for (const tag of tags) this.dropKeys(this.#tags.keysOf(tag))
  }

  /** Drops `entry`, unless a newer one has taken its place. */
  dropEntry(key: string, entry: Entry<T>): void {
    if (this.#store.peek(key) === entry) this.#store.delete(key)
  }

  clear(): void {
    this.#store.clear()
  }
}
