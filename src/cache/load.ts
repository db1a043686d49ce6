/**
 * One load, shared by everyone who waits for it. Its time and its signal belong to the load, not to a caller: it ends
 * by itself, when its time is up, or when everyone has left and nobody wants the value for later.
 */
import { untilAborted } from '../core/abort.ts'
import { createDeadline, type Deadline, type OwnedDeadline } from '../core/deadline.ts'
import { isKeelsonError } from '../core/errors.ts'
import { invalidArgument, loadAbandoned, loadTimeout } from './errors.ts'
import type { CacheKey } from './key.ts'
import { MAX_TTL_MS, type ResolvedCacheOptions } from './options.ts'

/** What a loader is handed. It is a deadline: pass it to whatever the loader calls, e.g. `db.within(load)`. */
export interface Load<T> extends Deadline {
  /** This load itself, for those who prefer the name. */
  readonly deadline: Deadline
  /** The value that is to be replaced, if there is an old one; `undefined` if not, or if many keys are loaded at once. */
  readonly stale: T | null | undefined
  /** Sets how long what is loaded counts as fresh, in milliseconds, instead of the cache's own rule. */
  setTtl(ttlMs: number): void
  /** Sets the tags of what is loaded, at most 16; with `invalidateTags` all values of a tag go at once. */
  setTags(tags: readonly string[]): void
  /** `return load.notFound()` caches that there is nothing: for `negativeTtlMs`, or for `ttlMs`. */
  notFound(ttlMs?: number): null
}

export type Loader<T> = (load: Load<T>) => T | null | Promise<T | null>

/** Loads several keys at once; a key that the map lacks is cached as `null`. */
export type ManyLoader<T, K extends CacheKey = CacheKey> = (
  keys: readonly K[],
  load: Load<T>,
) => ReadonlyMap<K, T | null> | Promise<ReadonlyMap<K, T | null>>

/** Either of them, over canonical keys; a key that the map lacks is not there. */
export type KeyedLoader<T> = (keys: readonly string[], load: Load<T>) => Promise<ReadonlyMap<string, T | null>>

const MAX_TAGS = 16

export class SharedLoad<T> implements Load<T> {
  stale: T | null | undefined
  tags: readonly string[]
  #ttlMs: number | undefined
  readonly #defaultTtlMs: number
  readonly #options: ResolvedCacheOptions
  /** A background refresh is wanted even if nobody waits. */
  readonly #wanted: boolean
  #waiting = 0
  #finished = false
  #deadline: OwnedDeadline | undefined
  #ended: { readonly reason: unknown } | undefined

  constructor(options: ResolvedCacheOptions, wanted: boolean, { ttlMs, tags = [] }: FillOptions) {
    this.#options = options
    this.#wanted = wanted
    this.#defaultTtlMs = checkedTtl(options.name, ttlMs ?? options.ttlMs)
    this.tags = checkedTags(options.name, tags)
  }

  get deadline(): Deadline {
    return this
  }

  get remainingMs(): number {
    return this.#deadline?.remainingMs ?? this.#options.loadTimeoutMs
  }

  get signal(): AbortSignal {
    return this.#running().signal
  }

  /** Nobody may join any more: it has been given up. */
  get abandoned(): boolean {
    return this.#ended !== undefined
  }

  setTtl(ttlMs: number): void {
    this.#ttlMs = checkedTtl(this.#options.name, ttlMs)
  }

  setTags(tags: readonly string[]): void {
    this.tags = checkedTags(this.#options.name, tags)
  }

  notFound(ttlMs?: number): null {
    this.setTtl(ttlMs ?? this.#options.negativeTtlMs)
    return null
  }

  /** How long `value` counts as fresh, before jitter, in milliseconds. */
  ttlMsOf(value: T | null): number {
    return this.#ttlMs ?? (value === null ? this.#options.negativeTtlMs : this.#defaultTtlMs)
  }

  join(): void {
    this.#waiting++
  }

  /** The last one to leave ends the load, unless it is wanted, or has finished. */
  leave(): void {
    this.#waiting--
    if (this.#waiting === 0 && !this.#wanted && !this.#finished) this.end(loadAbandoned(this.#options.name))
  }

  /** Nothing is left to load: whoever leaves now has what it came for. */
  finish(): void {
    this.#finished = true
  }

  end(reason: unknown): void {
    this.#ended ??= { reason }
    this.#deadline?.cancel(reason)
  }

  /** Runs `loader` within the load's time; what it returns after that is lost. */
  async run<R>(loader: (load: Load<T>) => R | Promise<R>): Promise<R> {
    using deadline = this.#running()
    if (this.#ended) throw this.#ended.reason
    const call = async (): Promise<R> => loader(this)
    try {
      return await untilAborted(call(), deadline.signal)
    } catch (error) {
      if (!(isKeelsonError(error, 'KEELSON_DEADLINE_EXCEEDED') && error === deadline.signal.reason)) throw error
      throw loadTimeout(this.#options.name, this.#options.loadTimeoutMs, error)
    } finally {
      this.finish()
    }
  }

  #running(): OwnedDeadline {
    const { loadTimeoutMs, clock } = this.#options
    return (this.#deadline ??= createDeadline({ timeoutMs: loadTimeoutMs, clock }))
  }
}

export interface FillOptions {
  /** How long the value counts as fresh, in milliseconds. Default: the cache's rule. */
  readonly ttlMs?: number | undefined
  /** At most 16. Default: none. */
  readonly tags?: readonly string[] | undefined
}

/** @throws KeelsonError `KEELSON_CACHE_ARGUMENT_INVALID` */
export function checkedTtl(cache: string, ttlMs: number): number {
  if (!(ttlMs >= 0 && ttlMs <= MAX_TTL_MS)) throw invalidArgument(cache, `\`ttlMs\` must be a number from 0 to ${MAX_TTL_MS}`)
  return ttlMs
}

/** @throws KeelsonError `KEELSON_CACHE_ARGUMENT_INVALID` */
export function checkedTags(cache: string, tags: readonly string[]): readonly string[] {
  if (tags.length > MAX_TAGS) throw invalidArgument(cache, `a value has at most ${MAX_TAGS} tags`)
  if (tags.some((tag) => typeof tag !== 'string' || tag === '')) throw invalidArgument(cache, 'a tag must be a non-empty string')
  return [...new Set(tags)]
}
