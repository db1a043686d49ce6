/** The way of an invalidation: here at once, then in Redis, and to the other processes before and after that. */
import { randomUUID } from 'node:crypto'
import { isInvalidationMessage, type InvalidationMessage } from './invalidation-bus.ts'
import type { CacheParts } from './parts.ts'
import type { Change } from './pending-invalidations.ts'
import type { RedisLevel } from './redis-level.ts'

export interface Invalidation {
  /** Whether Redis, where there is one, knows of it. If not, it will be told as soon as it answers again. */
  readonly complete: boolean
}

/** What takes the place of the invalidated. */
export interface Replacement {
  /** Stores it in memory. */
  keepHere(): void
  /** Stores it in Redis, and says whether Redis has confirmed it. Default: Redis only drops the old one. */
  readonly store?: ((redis: RedisLevel) => Promise<boolean>) | undefined
}

export class Invalidator<T> {
  readonly #parts: CacheParts<T>
  readonly #origin = randomUUID()
  readonly #listening: Disposable

  constructor(parts: CacheParts<T>) {
    this.#parts = parts
    this.#listening = parts.options.bus.subscribe((message) => this.#hear(message))
  }

  /** Never throws; what Redis cannot be told now is kept until it can. */
  async tell(change: Change, instead?: Replacement): Promise<Invalidation> {
    const { redis } = this.#parts
    this.#applyHere(change)
    instead?.keepHere()
    this.#publish(change, false)
    if (!redis) return { complete: true }
    const complete = await (instead?.store ? instead.store(redis) : redis.invalidate(change))
    if (!complete) this.#reportDeferred()
    // Again, for whoever has read the old entry from Redis between the first message and now.
    this.#publish(change, !complete)
    return { complete }
  }

  stop(): void {
    this.#listening[Symbol.dispose]()
  }

  #applyHere({ keys, tags, clear }: Change): void {
    const { claims, memory, counters } = this.#parts
    counters.invalidations++
    if (clear) {
      claims.voidAll()
      memory.clear()
    }
    if (keys.length > 0) claims.voidKeys(keys)
    if (tags.length > 0) claims.voidTags(tags)
    memory.dropKeys(keys)
    memory.dropTags(tags)
  }

  #publish({ keys, tags, clear }: Change, deferred: boolean): void {
    const { bus, name } = this.#parts.options
    bus.publish({ cache: name, origin: this.#origin, keys, tags, clear, deferred })
  }

  #hear(message: InvalidationMessage): void {
    const { redis, options } = this.#parts
    if (!isInvalidationMessage(message) || message.cache !== options.name || message.origin === this.#origin) return
    this.#applyHere(message)
    // The sender may die before Redis is back; whoever heard of it carries it on.
    if (message.deferred && redis) void this.#carryOn(message)
  }

  async #carryOn({ keys, tags, clear }: Change): Promise<void> {
    if (!(await this.#parts.redis!.invalidate({ keys, tags, clear }))) this.#reportDeferred()
  }

  #reportDeferred(): void {
    const { emit, options, redis } = this.#parts
    emit({ type: 'invalidation.deferred', source: options.name, pending: redis!.pending.size })
  }
}
