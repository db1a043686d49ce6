/**
 * S3-FIFO, weighed in bytes: newcomers wait in a small queue, so that a scan passes through it and leaves the
 * main queue alone; what is asked for again moves on; keys that were evicted too early are remembered as ghosts.
 * Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023, https://doi.org/10.1145/3600006.3613147
 */
import { Fifo, type FifoNode } from './fifo.ts'
import { GhostList } from './ghost-list.ts'
import type { L1Store, L1StoreOptions } from './l1.ts'

/** The small queue's share of the capacity. */
const SMALL_RATIO = 0.1
const MAX_USES = 3
/** Below this many entries one more use is enough to stay; above it takes two. */
const SMALL_CACHE_ENTRIES = 4_096
/** An entry above this share of the capacity would evict too many others. */
const MAX_ENTRY_RATIO = 1 / 16

export class S3Fifo<V> implements L1Store<V> {
  readonly #limits: L1StoreOptions<V>
  readonly #nodes = new Map<string, FifoNode<V>>()
  readonly #ghosts = new GhostList()
  #small = new Fifo<V>()
  #main = new Fifo<V>()
  #evictions = 0

  constructor(limits: L1StoreOptions<V>) {
    this.#limits = limits
  }

  get size(): number {
    return this.#nodes.size
  }

  get bytes(): number {
    return this.#small.bytes + this.#main.bytes
  }

  get evictions(): number {
    return this.#evictions
  }

  get(key: string): V | undefined {
    const node = this.#nodes.get(key)
    if (!node) return undefined
    if (node.uses < MAX_USES) node.uses++
    return node.value
  }

  peek(key: string): V | undefined {
    return this.#nodes.get(key)?.value
  }

  put(key: string, value: V, bytes: number): boolean {
    const replaced = this.#nodes.get(key)
    const known = replaced?.queue === this.#main || this.#ghosts.take(key)
    if (replaced) this.#remove(replaced)
    if (bytes > this.#limits.maxBytes * MAX_ENTRY_RATIO) return false

    this.#makeRoom(bytes)
    const uses = replaced?.uses ?? 0
    const node: FifoNode<V> = { key, value, bytes, uses, queue: undefined, previous: undefined, next: undefined }
    this.#nodes.set(key, node)
    ;(known ? this.#main : this.#small).push(node)
    return true
  }

  delete(key: string): void {
    const node = this.#nodes.get(key)
    if (node) this.#remove(node)
  }

  clear(): void {
    for (const node of this.#nodes.values()) this.#limits.onRemoved?.(node.key, node.value)
    this.#nodes.clear()
    this.#ghosts.clear()
    this.#small = new Fifo()
    this.#main = new Fifo()
  }

  #remove(node: FifoNode<V>): void {
    node.queue?.remove(node)
    this.#nodes.delete(node.key)
    this.#limits.onRemoved?.(node.key, node.value)
  }

  #makeRoom(bytes: number): void {
    const { maxBytes, maxEntries } = this.#limits
    while (this.#nodes.size > 0 && (this.bytes + bytes > maxBytes || this.#nodes.size >= maxEntries)) {
      const fromSmall = this.#main.length === 0 || (this.#small.length > 0 && this.#smallIsFull())
      if (fromSmall) this.#evictFromSmall()
      else this.#evictFromMain()
    }
  }

  #smallIsFull(): boolean {
    const { maxBytes, maxEntries } = this.#limits
    return this.#small.bytes >= maxBytes * SMALL_RATIO || this.#small.length >= maxEntries * SMALL_RATIO
  }

  /** Moves one entry out of the small queue: to the main queue if it was used meanwhile, else out of the cache. */
  #evictFromSmall(): void {
    const node = this.#small.oldest!
    const usesToStay = this.#nodes.size < SMALL_CACHE_ENTRIES ? 1 : 2
    if (node.uses >= usesToStay) {
      this.#small.remove(node)
      node.uses = 0
      this.#main.push(node)
      return
    }
    this.#evict(node)
    this.#ghosts.add(node.key, this.#main.length)
  }

  /** Goes round the main queue until an entry has no uses left; at most three rounds. */
  #evictFromMain(): void {
    const node = this.#main.oldest!
    if (node.uses === 0) return this.#evict(node)
    node.uses--
    this.#main.remove(node)
    this.#main.push(node)
  }

  #evict(node: FifoNode<V>): void {
    this.#remove(node)
    this.#evictions++
  }
}
