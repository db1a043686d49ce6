/** The way of a missing value: ask Redis, else take a token there, load, and store what the claim still allows. */
import { untilAborted } from '../core/abort.ts'
import { judge, type Entry, type Verdict } from './entry.ts'
import { cacheClosed } from './errors.ts'
import { Flight } from './flight.ts'
import type { Keeper } from './keeper.ts'
import { SharedLoad, type FillOptions, type KeyedLoader } from './load.ts'
import { countStale, type CacheParts } from './parts.ts'

/** One start of one load, for one or more keys. */
interface Trip<T> {
  readonly loader: KeyedLoader<T>
  readonly fill: FillOptions
  /** In the background, because the old value is served meanwhile. */
  readonly refresh: boolean
  readonly load: SharedLoad<T>
  /** When Redis must have answered. */
  readonly endsAt: number
  /** Old values found in Redis, in case that loading fails. */
  readonly stale: Map<string, Entry<T>>
}

export class Filler<T> {
  readonly #parts: CacheParts<T>
  readonly #keeper: Keeper<T>
  readonly #flights = new Map<string, Flight<T>>()
  readonly #loads = new Set<SharedLoad<T>>()
  #closed = false

  constructor(parts: CacheParts<T>, keeper: Keeper<T>) {
    this.#parts = parts
    this.#keeper = keeper
  }

  get loadsInFlight(): number {
    return this.#loads.size
  }

  /** The value on its way, if whoever asks now can be given it. */
  find(key: string): Flight<T> | undefined {
    const flight = this.#flights.get(key)
    return flight?.joinable ? flight : undefined
  }

  /** @throws KeelsonError `KEELSON_CACHE_CLOSED` */
  start(keys: readonly string[], loader: KeyedLoader<T>, fill: FillOptions, refresh = false): readonly Flight<T>[] {
    const { options, claims, redis } = this.#parts
    if (this.#closed) throw cacheClosed(options.name)
    const load = new SharedLoad<T>(options, refresh, fill)
    const flights = keys.map((key) => new Flight(key, claims.open(key), load))
    for (const flight of flights) this.#flights.set(flight.key, flight)
    this.#loads.add(load)
    const trip = { loader, fill, refresh, load, endsAt: redis?.budget() ?? 0, stale: new Map<string, Entry<T>>() }
    void this.#fly(flights, trip).finally(() => this.#loads.delete(load))
    return flights
  }

  /** What Redis has of `key`, if it is fresh. @throws `signal.reason` as soon as `signal` aborts. */
  async readShared(key: string, signal: AbortSignal): Promise<Entry<T> | undefined> {
    const { redis, claims, options } = this.#parts
    if (!redis) return undefined
    using claim = claims.open(key)
    const seenAt = options.clock.now()
    const found = await untilAborted(redis.read([key], redis.budget()), signal)
    const shared = found?.get(key)
    if (!shared || shared.freshMs <= 0 || claim.voidedAt(shared.tags) !== 0) return undefined
    return this.#keeper.adopt(key, claim, shared, seenAt)
  }

  /** Ends all loads, and lets nothing start any more. */
  close(): void {
    this.#closed = true
    for (const load of this.#loads) load.end(cacheClosed(this.#parts.options.name))
  }

  async #fly(flights: readonly Flight<T>[], trip: Trip<T>): Promise<void> {
    try {
      const missing = await this.#askRedis(flights, trip)
      if (missing.length > 0) await this.#askSource(missing, trip)
    } catch (error) {
      for (const flight of flights) flight.fail(error)
    } finally {
      for (const flight of flights) {
        flight.claim[Symbol.dispose]()
        if (this.#flights.get(flight.key) === flight) this.#flights.delete(flight.key)
      }
    }
  }

  /** Lands what Redis has, and what a load that failed a moment ago would end in; returns the rest. */
  async #askRedis(flights: readonly Flight<T>[], trip: Trip<T>): Promise<readonly Flight<T>[]> {
    const { redis, options, memory } = this.#parts
    const keys = flights.map((flight) => flight.key)
    const seenAt = options.clock.now()
    const found = await redis?.read(keys, trip.endsAt)
    const toRefresh: string[] = []
    const missing = flights.filter((flight) => {
      const { key, claim } = flight
      const shared = found?.get(key)
      const adopted = shared && this.#keeper.adopt(key, claim, shared, seenAt)
      if (adopted) trip.stale.set(key, adopted)
      if (found && !shared) this.#keeper.disown(key, seenAt)
      const entry = adopted ?? memory.peek(key)
      const verdict = entry ? this.#verdict(entry, trip, adopted !== undefined) : 'load'
      if (!entry || verdict === 'load') return true
      if (verdict === 'revalidate') toRefresh.push(key)
      flight.land(entry.value, entry.tags)
      return false
    })
    if (missing.length === 0) trip.load.finish()
    if (toRefresh.length > 0) this.start(toRefresh, trip.loader, trip.fill, true)
    return missing
  }

  /** @param confirmed whether Redis has just said that the entry is valid; if not, only a load that failed justifies it. */
  #verdict(entry: Entry<T>, { refresh }: Trip<T>, confirmed: boolean): Verdict {
    const { options, counters } = this.#parts
    const verdict = judge(entry, options, options.clock.now())
    if (!confirmed && verdict !== 'throttled') return 'load'
    if (refresh && verdict !== 'fresh') return 'load'
    if (verdict === 'fresh') counters.l2Hits += refresh ? 0 : 1
    else if (verdict !== 'load') countStale(this.#parts, verdict === 'throttled' ? 'throttled' : 'revalidating')
    return verdict
  }

  async #askSource(flights: readonly Flight<T>[], trip: Trip<T>): Promise<void> {
    const { redis, memory, options, counters } = this.#parts
    const { load } = trip
    const keys = flights.map((flight) => flight.key)
    counters.misses += trip.refresh ? 0 : keys.length
    const ticket = await redis?.openLoad(keys, trip.endsAt)
    const [only] = keys
    if (keys.length === 1) load.stale = (memory.peek(only!) ?? trip.stale.get(only!))?.value

    const startedAt = options.clock.now()
    try {
      counters.loads++
      const values = await load.run((context) => trip.loader(keys, context))
      for (const flight of flights) this.#keeper.landLoaded(flight, values.get(flight.key) ?? null, load, ticket)
    } catch (error) {
      const failure = { error, keys: keys.length, durationMs: options.clock.now() - startedAt }
      this.#keeper.countFailure(failure, load.abandoned)
      for (const flight of flights) {
        // That everyone has left says nothing about the source, so whoever comes next tries it at once.
        if (load.abandoned) flight.fail(error)
        else this.#keeper.landFailed(flight, error, trip.stale.get(flight.key))
      }
    }
  }
}
