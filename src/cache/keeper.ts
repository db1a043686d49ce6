/** What becomes of a value that has arrived, or has failed to: kept here and in Redis as far as its claim allows. */
import type { Claim } from './claims.ts'
import { mayServeOnError, type Entry } from './entry.ts'
import type { RefusalReason } from './events.ts'
import type { Flight } from './flight.ts'
import type { SharedLoad } from './load.ts'
import { countStale, jittered, trustedUntil, type CacheParts } from './parts.ts'
import type { Fill, RedisLevel, SharedEntry, Ticket } from './redis-level.ts'
import { weigh } from './weigh.ts'

export class Keeper<T> {
  readonly #parts: CacheParts<T>
  readonly #writing = new Set<Promise<unknown>>()

  constructor(parts: CacheParts<T>) {
    this.#parts = parts
  }

  /** Copies an entry of Redis into memory, for no longer than it has left there. Returns nothing if memory has a newer one. */
  adopt(key: string, claim: Claim, shared: SharedEntry, seenAt: number): Entry<T> | undefined {
    const { options, memory } = this.#parts
    const held = memory.peek(key)
    const freshUntil = seenAt + Math.min(shared.freshMs, options.ttlMs)
    // What was loaded here last may not have reached Redis: it was full, or the value unfit for it.
    if (held && shared.freshMs <= 0 && held.freshUntil > freshUntil) return undefined
    const entry: Entry<T> = {
      value: shared.value as T | null,
      tags: shared.tags,
      freshUntil,
      trustedUntil: trustedUntil(this.#parts, seenAt),
      retryAt: held?.retryAt ?? 0,
    }
    if (claim.voidedAt(entry.tags) === 0) memory.put(key, entry, weigh(entry.value).bytes)
    return entry
  }

  /** Drops what Redis, having been asked because it was due, does not know: another machine may have invalidated it. */
  disown(key: string, seenAt: number): void {
    const { memory } = this.#parts
    const held = memory.peek(key)
    if (held && seenAt >= held.trustedUntil) memory.dropKeys([key])
  }

  /** Keeps a loaded value, unless it was invalidated on its way, and hands it to those who wait. */
  landLoaded(flight: Flight<T>, value: T | null, load: SharedLoad<T>, ticket: Ticket | undefined): void {
    const { options, counters, emit } = this.#parts
    const ttlMs = jittered(load.ttlMsOf(value), options.random)
    if (flight.claim.voidedAt(load.tags) !== 0) {
      counters.fillsRefused++
      emit({ type: 'fill.refused', source: options.name, level: 'l1' })
    } else {
      const fill: Fill = { value, tags: load.tags, ttlMs }
      const entry = this.keepHere(flight.key, fill)
      if (ticket) this.#track(entry ? this.#commit(flight.key, entry, fill, ticket) : this.#discard(flight.key))
    }
    flight.land(value, load.tags)
  }

  /** Serves an old value in place of the error, where there is one; either way the next try has to wait a little. */
  landFailed(flight: Flight<T>, error: unknown, fromRedis: Entry<T> | undefined): void {
    const { options, memory } = this.#parts
    const now = options.clock.now()
    const held = memory.peek(flight.key) ?? fromRedis
    if (!held || !mayServeOnError(held, options, now)) return flight.fail(error)
    held.retryAt = now + options.failureThrottleMs * (0.5 + options.random() / 2)
    if (now >= held.freshUntil + options.staleIfErrorMs) return flight.fail(error)
    countStale(this.#parts, 'error')
    flight.land(held.value, held.tags)
  }

  /** Puts a value into memory; a lifetime of 0 means that it is not to be kept, and that what it replaces is not true any more. */
  keepHere(key: string, { value, tags, ttlMs }: Fill): Entry<T> | undefined {
    const { options, memory } = this.#parts
    const now = options.clock.now()
    if (ttlMs <= 0) {
      memory.dropKeys([key])
      return undefined
    }
    const seen = trustedUntil(this.#parts, now)
    const entry: Entry<T> = { value: value as T | null, tags, freshUntil: now + ttlMs, trustedUntil: seen, retryAt: 0 }
    if (!memory.put(key, entry, weigh(value).bytes)) this.countRefusal('l1', 'too_large')
    return entry
  }

  /** How `fill` is stored in Redis; nothing where it cannot be, and the old entry just goes. */
  storing(key: string, fill: Fill): ((redis: RedisLevel) => Promise<boolean>) | undefined {
    const encoded = fill.ttlMs > 0 ? this.#parts.redis?.encode(fill) : undefined
    if (!encoded) return undefined
    if ('body' in encoded) return (redis) => redis.store(key, fill, encoded.body)
    this.countRefusal('l2', encoded.refused)
    return undefined
  }

  countRefusal(level: 'l1' | 'l2', reason: RefusalReason): void {
    const { counters, emit, options } = this.#parts
    counters.valuesRefused++
    emit({ type: 'value.refused', source: options.name, level, reason })
  }

  countFailure(failure: { error: unknown; keys: number; durationMs: number }, abandoned: boolean): void {
    const { counters, emit, options } = this.#parts
    if (abandoned) {
      counters.loadsAbandoned++
      return
    }
    counters.loadFailures++
    emit({ type: 'load.failed', source: options.name, ...failure })
  }

  /** Resolves when nothing is being written to Redis. */
  async settled(): Promise<void> {
    await Promise.all(this.#writing)
  }

  async #commit(key: string, entry: Entry<T>, fill: Fill, ticket: Ticket): Promise<void> {
    const { redis, memory, options, counters, emit } = this.#parts
    const encoded = redis!.encode(fill)
    if ('refused' in encoded) return this.countRefusal('l2', encoded.refused)
    const sentAt = options.clock.now()
    const outcome = await redis!.commit(key, ticket, fill, encoded.body)
    if (outcome === 'stored') entry.trustedUntil = Math.max(entry.trustedUntil, trustedUntil(this.#parts, sentAt))
    if (outcome !== 'refused') return
    // Another machine has invalidated it while it was loaded here.
    memory.dropEntry(key, entry)
    counters.fillsRefused++
    emit({ type: 'fill.refused', source: options.name, level: 'l2' })
  }

  async #discard(key: string): Promise<void> {
    await this.#parts.redis!.invalidate({ keys: [key], tags: [], clear: false })
  }

  #track(writing: Promise<void>): void {
    // Nobody waits for it, so nobody would catch what it throws, and that would end the process.
    const written = writing.catch(() => {}).finally(() => this.#writing.delete(written))
    this.#writing.add(written)
  }
}
