/** `app.cache`, `app.pipeline`, `app.cursors`: the standalone things, bound to this app's Redis, bus and shutdown. */
import type { FastifyInstance } from 'fastify'
import { createCache, type InvalidationBus } from '../cache/index.ts'
import { invalidOption } from '../core/options.ts'
import { createCursorCodec, type CursorCodec } from '../http/pagination/index.ts'
import type { RedisConnection } from '../redis/index.ts'
import { createPipeline } from '../resilience/index.ts'
import type { AppCacheOptions, AppPipelineOptions } from './app.ts'

export interface Surroundings {
  readonly serviceName: string
  readonly redis: RedisConnection | undefined
  readonly bus: InvalidationBus | undefined
  /** Freezes cached values, so that a handler that changes one is found at once. */
  readonly development: boolean
  /** What cursors are signed with. */
  readonly secret: string | undefined
}

export function addFacilities(app: FastifyInstance, surroundings: Surroundings): void {
  const { serviceName, redis, bus, development, secret } = surroundings
  const owned: (Disposable | AsyncDisposable)[] = []
  const names = new Set<string>()
  let cursors: CursorCodec | undefined

  app.decorate('cache', function cache(name: string, options: AppCacheOptions) {
    claim('cache', name)
    const keyPrefix = `${serviceName}:cache:`
    return own(createCache({ freeze: development, ...options, name, redis: redis?.client, bus, keyPrefix }))
  } as FastifyInstance['cache'])

  app.decorate('pipeline', function pipeline(name: string, options: AppPipelineOptions) {
    claim('pipeline', name)
    return own(createPipeline({ ...options, name }))
  } as FastifyInstance['pipeline'])

  app.decorate('cursors', {
    getter() {
      if (secret === undefined)
        throw invalidOption('configuration', 'CURSOR_SECRET', 'is needed to sign cursors without a JWT_SECRET', secret)
      return (cursors ??= createCursorCodec({ secret }))
    },
  })

  app.addHook('onClose', async function disposeFacilities() {
    for (const resource of owned.toReversed()) {
      if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]()
      else resource[Symbol.dispose]()
    }
  })

  function own<T extends Disposable | AsyncDisposable>(resource: T): T {
    owned.push(resource)
    return resource
  }

  /** Two of one name would share keys in Redis and lines in metrics. */
  function claim(kind: string, name: string): void {
    const id = `${kind} ${name}`
    if (names.has(id)) throw invalidOption(`app.${kind}`, 'name', 'must be used once', name)
    names.add(id)
  }
}
