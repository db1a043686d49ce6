/** What a service's `register` is given: a real Fastify instance with Zod types, and the things bound to the service. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
// For what each adds to Fastify's types; a consumer of the declarations would not see them otherwise.
import '@fastify/swagger'
import '../http/auth/index.ts'
import '../http/conditional/index.ts'
import '../http/context/index.ts'
import '../http/database/index.ts'
import '../http/deadline/index.ts'
import '../http/errors/index.ts'
import '../http/health/index.ts'
import '../http/metrics/index.ts'
import type { Cache, CacheConfig } from '../cache/index.ts'
import type { CursorCodec } from '../http/pagination/index.ts'
import type { Pipeline, PipelineOptions } from '../resilience/index.ts'

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse<IncomingMessage>,
  FastifyBaseLogger,
  ZodTypeProvider
>

/** Options of a cache, without what the app binds it to. */
export type AppCacheOptions = Omit<CacheConfig, 'name' | 'redis' | 'bus' | 'keyPrefix'>

/** Options of a pipeline, without its name. */
export type AppPipelineOptions<F = never> = Omit<PipelineOptions<F>, 'name'>

declare module 'fastify' {
  interface FastifyInstance {
    /** A cache over this process and, with `REDIS_URL`, Redis; disposed with the app. */
    cache<T>(name: string, options: AppCacheOptions): Cache<T>
    /** A pipeline around the calls to one dependency; disposed with the app. */
    pipeline<F = never>(name: string, options: AppPipelineOptions<F>): Pipeline<F>
    /** Signs and reads the cursors of paged lists, with a key that all processes of the service share. */
    readonly cursors: CursorCodec
  }
}
