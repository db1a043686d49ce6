/** The caller's loaders, brought to one form: over canonical keys, and never `undefined`. */
import { invalidArgument, valueUndefined } from './errors.ts'
import type { CacheKey } from './key.ts'
import type { KeyedLoader, Loader, ManyLoader } from './load.ts'

export function loadsOne<T>(cache: string, id: string, load: Loader<T>): KeyedLoader<T> {
  return async (_ids, context) => new Map([[id, defined(cache, await load(context))]])
}

/** @param keyOf the caller's own keys: a tuple is found in a map only as the very object it was given as. */
export function loadsMany<T, K extends CacheKey>(
  cache: string,
  keyOf: ReadonlyMap<string, K>,
  loadMany: ManyLoader<T, K>,
): KeyedLoader<T> {
  return async (ids, context) => {
    const keys = ids.map((id) => keyOf.get(id)!)
    const loaded: unknown = await loadMany(keys, context)
    if (!(loaded instanceof Map)) throw invalidArgument(cache, '`loadMany` must return a Map from key to value')
    const values = loaded as ReadonlyMap<K, T | null>
    const found = ids.filter((id) => values.has(keyOf.get(id)!))
    return new Map(found.map((id) => [id, defined(cache, values.get(keyOf.get(id)!))]))
  }
}

/** @throws KeelsonError `KEELSON_CACHE_VALUE_UNDEFINED` */
export function defined<T>(cache: string, value: T | null | undefined): T | null {
  if (value === undefined) throw valueUndefined(cache)
  return value
}
