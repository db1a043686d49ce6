/** `app.cache`, `app.pipeline`, `app.cursors`: the standalone things, bound to this app's Redis, bus and shutdown. */
import type { FastifyInstance } from 'fastify'
import { createCache, type InvalidationBus } from '../cache/index.ts'
import { invalidOption } from '../core/options.ts'
import { createCursorCodec, type CursorCodec } from '../http/pagination/index.ts'
import type { RedisConnection } from '../redis/index.ts'
import { createPipeline } from '../resilience/index.ts'
import type { AppCacheOptions, AppPipelineOptions } from './app.ts'
import type { Belongings } from './belongings.ts'
import { markLoads } from './loader-guard.ts'

export interface Surroundings {
  readonly serviceName: string
  readonly redis: RedisConnection | undefined
  readonly bus: InvalidationBus | undefined
  /** Freezes cached values, so that a handler that changes one is found at once; and watches what loaders use. */
  readonly development: boolean
  /** What cursors are signed with. */
  readonly secret: string | undefined
}

export function addFacilities(app: FastifyInstance, surroundings: Surroundings, belongings: Belongings): void {
  const { serviceName, redis, bus, development, secret } = surroundings
  const names = new Set<string>()
  let cursors: CursorCodec | undefined

  app.decorate('cache', function cache(name: string, options: AppCacheOptions) {
    claim('cache', name)
    const keyPrefix = `${serviceName}:cache:`
    const made = createCache({ freeze: development, ...options, name, redis: redis?.client, bus, keyPrefix })
    return belongings.add(development ? markLoads(made) : made)
  } as FastifyInstance['cache'])

  app.decorate('pipeline', function pipeline(name: string, options: AppPipelineOptions) {
    claim('pipeline', name)
    return belongings.add(createPipeline({ ...options, name }))
  } as FastifyInstance['pipeline'])

  app.decorate('cursors', {
    getter() {
      if (secret === undefined)
        throw invalidOption('configuration', 'CURSOR_SECRET', 'is needed to sign cursors without a JWT_SECRET', secret)
      return (cursors ??= createCursorCodec({ secret }))
    },
  })

  /** Two of one name would share keys in Redis and lines in metrics. */
  function claim(kind: string, name: string): void {
    const id = `${kind} ${name}`
    if (names.has(id)) throw invalidOption(`app.${kind}`, 'name', 'must be used once', name)
    names.add(id)
  }
}
