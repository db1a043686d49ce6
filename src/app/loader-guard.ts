/**
 * In development, tells a cache's loader that reaches for the request of its caller. A load is shared by everyone who
 * waits for it: tied to one caller's deadline it would fail for all when that one leaves, and only under load.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Cache, CacheKey, GetOrLoadOptions, Loader, ManyLoader } from '../cache/index.ts'
import { KeelsonError } from '../core/errors.ts'

/** The load that the present code runs in. */
const loading = new AsyncLocalStorage<{ readonly cache: string }>()

/** Makes `cache` mark what its loaders run, for `guardRequests` to see. */
export function markLoads<T>(cache: Cache<T>): Cache<T> {
  const getOrLoad = cache.getOrLoad.bind(cache)
  const getManyOrLoad = cache.getManyOrLoad.bind(cache)

  function marked<A extends readonly unknown[], R>(loader: (...args: A) => R): (...args: A) => R {
    return (...args) => loading.run({ cache: cache.name }, loader, ...args)
  }

  return Object.assign(cache, {
    getOrLoad: (key: CacheKey, load: Loader<T>, options?: GetOrLoadOptions) => getOrLoad(key, marked(load), options),
    getManyOrLoad: <K extends CacheKey>(keys: readonly K[], load: ManyLoader<T, K>, options?: GetOrLoadOptions) =>
      getManyOrLoad(keys, marked(load), options),
  })
}

/** Makes `request.deadline`, and with it `request.db`, throw within a load. Add it after the deadline's own hook. */
export function guardRequests(app: FastifyInstance): void {
  app.addHook('onRequest', function guardRequest(request, _reply, done) {
    const { deadline } = request
    // A request that itself began within a load (`app.inject` in a loader) belongs to that load.
    const begunWithin = loading.getStore()
    Object.defineProperty(request, 'deadline', {
      configurable: true,
      get(): FastifyRequest['deadline'] {
        const load = loading.getStore()
        if (load && load !== begunWithin) throw usedRequest(load.cache)
        return deadline
      },
    })
    done()
  })
}

function usedRequest(cache: string): KeelsonError<'KEELSON_LOADER_USED_REQUEST'> {
  const message = `the loader of cache ${cache} uses its caller's request, which may end before the load: use what the loader is handed, as in app.db.within(load)`
  return new KeelsonError('KEELSON_LOADER_USED_REQUEST', 'internal', message, { details: { cache } })
}
