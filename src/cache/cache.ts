/**
 * The cache: this process's memory, then Redis, then the loader. One load per key and process; an invalidation beats
 * every load in flight; a failing Redis never fails a read; an old value can stand in for a failing source.
 */
import { NEVER } from '../core/abort.ts'
import { judge, type Entry } from './entry.ts'
import { cacheClosed } from './errors.ts'
import { Filler } from './filler.ts'
import type { Flight } from './flight.ts'
import { Invalidator, type Invalidation, type Replacement } from './invalidator.ts'
import { Keeper } from './keeper.ts'
import { canonicalKey, type CacheKey } from './key.ts'
import { checkedTags, checkedTtl, type FillOptions, type KeyedLoader, type Loader, type ManyLoader } from './load.ts'
import { defined, loadsMany, loadsOne } from './loaders.ts'
import { resolveCacheOptions, type CacheConfig, type ResolvedCacheOptions } from './options.ts'
import { assembleParts, countStale, jittered, type CacheParts } from './parts.ts'
import type { Change } from './pending-invalidations.ts'
import { caches, type CacheSnapshot } from './snapshot.ts'

export interface GetOptions {
  /** Ends this caller's waiting, with its reason; the load goes on for the others. */
  readonly signal?: AbortSignal | undefined
}

export interface GetOrLoadOptions extends GetOptions, FillOptions {}

export interface Cache<T> extends AsyncDisposable {
  readonly name: string
  /** The fresh value; `null` for what is known not to be there; `undefined` for what is not cached. */
  get(key: CacheKey, options?: GetOptions): Promise<T | null | undefined>
  /**
   * The value, from wherever it is nearest; loaded if it has to be, once for everyone who waits.
   * The loader belongs to all of them: it uses what it is handed, never the caller's request.
   * @throws what the loader threw; `KEELSON_CACHE_LOAD_TIMEOUT`; `KEELSON_CACHE_VALUE_UNDEFINED`; `signal.reason`.
   */
  getOrLoad(key: CacheKey, load: Loader<T>, options?: GetOrLoadOptions): Promise<T | null>
  /** The values in the order of `keys`; the missing ones are loaded by one call, and a key that it leaves out is `null`. */
  getManyOrLoad<K extends CacheKey>(
    keys: readonly K[],
    loadMany: ManyLoader<T, K>,
    options?: GetOrLoadOptions,
  ): Promise<readonly (T | null)[]>
  /** Stores a value that is known to be the newest. Never throws because of Redis. */
  set(key: CacheKey, value: T | null, options?: FillOptions): Promise<Invalidation>
  /** From the moment of the call no read here returns what was loaded before it. Never throws because of Redis. */
  invalidate(key: CacheKey): Promise<Invalidation>
  /** The same for several keys at once. */
  invalidateMany(keys: readonly CacheKey[]): Promise<Invalidation>
  /** The same for every value that carries one of these tags. */
  invalidateTags(tags: readonly string[]): Promise<Invalidation>
  /** The same for all values. */
  clear(): Promise<Invalidation>
  snapshot(): CacheSnapshot
}

/**
 * @param given `name` and `ttlMs` are required; without `redis` there is only this process's memory.
 * @throws KeelsonError `KEELSON_CONFIG_INVALID`
 */
export function createCache<T>(given: CacheConfig): Cache<T> {
  return new MultiLevelCache<T>(resolveCacheOptions(given))
}

class MultiLevelCache<T> implements Cache<T> {
  readonly name: string
  readonly #options: ResolvedCacheOptions
  readonly #parts: CacheParts<T>
  readonly #keeper: Keeper<T>
  readonly #filler: Filler<T>
  readonly #invalidator: Invalidator<T>
  readonly #listed: Disposable
  #closing: Promise<void> | undefined

  constructor(options: ResolvedCacheOptions) {
    this.name = options.name
    this.#options = options
    this.#parts = assembleParts(options)
    this.#keeper = new Keeper(this.#parts)
    this.#filler = new Filler(this.#parts, this.#keeper)
    this.#invalidator = new Invalidator(this.#parts)
    this.#listed = caches.add(this)
  }

  async get(key: CacheKey, { signal = NEVER }: GetOptions = {}): Promise<T | null | undefined> {
    signal.throwIfAborted()
    const id = canonicalKey(key)
    const fresh = this.#fresh(id)
    if (fresh) return fresh.value
    const { counters } = this.#parts
    const shared = await this.#filler.readShared(id, signal)
    if (shared) counters.l2Hits++
    else counters.misses++
    return shared?.value
  }

  async getOrLoad(key: CacheKey, load: Loader<T>, options: GetOrLoadOptions = {}): Promise<T | null> {
    options.signal?.throwIfAborted()
    const id = canonicalKey(key)
    const fresh = this.#fresh(id)
    if (fresh) return fresh.value
    const values = await this.#resolve([id], loadsOne(this.name, id, load), options)
    return values.get(id)!
  }

  async getManyOrLoad<K extends CacheKey>(
    keys: readonly K[],
    loadMany: ManyLoader<T, K>,
    options: GetOrLoadOptions = {},
  ): Promise<readonly (T | null)[]> {
    options.signal?.throwIfAborted()
    const ids = keys.map(canonicalKey)
    const keyOf = new Map<string, K>(ids.map((id, i) => [id, keys[i]!]))
    const values = await this.#resolve([...keyOf.keys()], loadsMany(this.name, keyOf, loadMany), options)
    return ids.map((id) => values.get(id)!)
  }

  async set(key: CacheKey, value: T | null, { ttlMs, tags = [] }: FillOptions = {}): Promise<Invalidation> {
    const id = canonicalKey(key)
    const usualTtlMs = defined(this.name, value) === null ? this.#options.negativeTtlMs : this.#options.ttlMs
    const fill = {
      value,
      tags: checkedTags(this.name, tags),
      ttlMs: jittered(checkedTtl(this.name, ttlMs ?? usualTtlMs), this.#options.random),
    }
    const change = { keys: [id], tags: [], clear: false }
    return await this.#tell(change, { keepHere: () => this.#keeper.keepHere(id, fill), store: this.#keeper.storing(id, fill) })
  }

  invalidate(key: CacheKey): Promise<Invalidation> {
    return this.invalidateMany([key])
  }

  async invalidateMany(keys: readonly CacheKey[]): Promise<Invalidation> {
    return await this.#tell({ keys: keys.map(canonicalKey), tags: [], clear: false })
  }

  async invalidateTags(tags: readonly string[]): Promise<Invalidation> {
    return await this.#tell({ keys: [], tags: [...tags], clear: false })
  }

  async clear(): Promise<Invalidation> {
    return await this.#tell({ keys: [], tags: [], clear: true })
  }

  snapshot(): CacheSnapshot {
    const { memory, redis, counters } = this.#parts
    return {
      name: this.name,
      entries: memory.size,
      bytes: memory.bytes,
      maxBytes: this.#options.maxBytes,
      evictions: memory.evictions,
      loadsInFlight: this.#filler.loadsInFlight,
      l2: redis ? (redis.open ? 'open' : 'closed') : 'none',
      pendingInvalidations: redis?.pending.size ?? 0,
      ...counters,
    }
  }

  /** Ends every load, waits for what is being stored, and forgets everything; Redis keeps its entries. */
  [Symbol.asyncDispose](): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#listed[Symbol.dispose]()
    this.#filler.close()
    this.#invalidator.stop()
    await this.#keeper.settled()
    this.#parts.redis?.stop()
    this.#parts.memory.clear()
  }

  async #tell(change: Change, instead?: Replacement): Promise<Invalidation> {
    if (this.#closing) throw cacheClosed(this.name)
    return await this.#invalidator.tell(change, instead)
  }

  /** The short way: nothing to wait for, nothing to refresh. */
  #fresh(id: string): Entry<T> | undefined {
    const { memory, counters } = this.#parts
    const now = this.#options.clock.now()
    const entry = memory.get(id, now)
    if (!entry || now >= entry.freshUntil || now >= entry.trustedUntil) return undefined
    counters.l1Hits++
    return entry
  }

  /** What memory may answer with although it is old. */
  #stale(id: string): { readonly entry: Entry<T>; readonly refresh: boolean } | undefined {
    const now = this.#options.clock.now()
    const entry = this.#parts.memory.get(id, now)
    if (!entry || now >= entry.trustedUntil) return undefined
    const verdict = judge(entry, this.#options, now)
    if (verdict !== 'revalidate' && verdict !== 'throttled') return undefined
    countStale(this.#parts, verdict === 'revalidate' ? 'revalidating' : 'throttled')
    return { entry, refresh: verdict === 'revalidate' && !this.#filler.find(id) }
  }

  async #resolve(
    ids: readonly string[],
    loader: KeyedLoader<T>,
    options: GetOrLoadOptions,
  ): Promise<ReadonlyMap<string, T | null>> {
    const values = new Map<string, T | null>()
    for (let left = ids; left.length > 0; left = ids.filter((id) => !values.has(id))) {
      const flights = this.#board(left, values, loader, options)
      const joinedAt = this.#parts.claims.sequence
      const arrivals = await Promise.all(flights.map((flight) => flight.join(options.signal)))
      for (const [i, { value, voidedAt }] of arrivals.entries()) {
        // What was invalidated before we joined is too old for us, though not for those who came earlier: once more.
        if (voidedAt === 0 || voidedAt > joinedAt) values.set(flights[i]!.key, value)
      }
    }
    return values
  }

  /** Puts what memory has into `values`; returns the flights that bring the rest. */
  #board(
    ids: readonly string[],
    values: Map<string, T | null>,
    loader: KeyedLoader<T>,
    options: GetOrLoadOptions,
  ): readonly Flight<T>[] {
    const flights: Flight<T>[] = []
    const toLoad: string[] = []
    const toRefresh: string[] = []
    for (const id of ids) {
      const fresh = this.#fresh(id)
      const stale = fresh ? undefined : this.#stale(id)
      const entry = fresh ?? stale?.entry
      const flight = entry ? undefined : this.#filler.find(id)
      if (entry) values.set(id, entry.value)
      else if (flight) flights.push(flight)
      else toLoad.push(id)
      if (stale?.refresh) toRefresh.push(id)
    }
    this.#parts.counters.coalesced += flights.length
    if (toRefresh.length > 0) this.#filler.start(toRefresh, loader, options, true)
    return toLoad.length > 0 ? [...flights, ...this.#filler.start(toLoad, loader, options)] : flights
  }
}
