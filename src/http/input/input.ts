/** What a request may contain: which media types, which JSON, and that every route's schemas mean what they seem to. */
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { KeelsonError } from '../../core/errors.ts'
import { integerAtLeast, resolveOptions } from '../../core/options.ts'
import { withStatus } from '../errors/index.ts'
import { useJsonParser } from './body-parser.ts'
import { checkSchemas } from './check-schemas.ts'
import { buildSerializer, buildValidator } from './compilers.ts'
import { JSON_LIMITS, type JsonLimits } from './json-limits.ts'
import { createNegotiation } from './negotiation.ts'

export interface InputOptions extends JsonLimits {
  /** What routes answer in, unless their `config.keelson.produces` says otherwise. Default: JSON, problem details. */
  readonly produces: readonly string[]
}

export const INPUT_DEFAULTS: InputOptions = { ...JSON_LIMITS, produces: ['application/json', 'application/problem+json'] }

async function inputPlugin(app: FastifyInstance, given: Partial<InputOptions>): Promise<void> {
  const { produces, ...limits } = resolveOptions('input', INPUT_DEFAULTS, given, {
    maxDepth: integerAtLeast(1),
    maxKeys: integerAtLeast(1),
    maxItems: integerAtLeast(1),
    maxStringLength: integerAtLeast(1),
  })

  useJsonParser(app, limits)
  app.setSchemaController({ compilersFactory: { buildValidator, buildSerializer } as never })

  app.addHook('onRoute', function checkRoute(route) {
    checkSchemas(route, this.getSchemas())
    if (route.method === 'OPTIONS') return
    const hooks = route.onRequest === undefined ? [] : [route.onRequest].flat()
    route.onRequest = [...hooks, negotiation(() => producedBy(route) ?? produces)] as NonNullable<RouteOptions['onRequest']>
  })
}

function producedBy(route: RouteOptions): readonly string[] | undefined {
  return (route.config as { readonly keelson?: { readonly produces?: readonly string[] } } | undefined)?.keelson?.produces
}

type Negotiate = (request: FastifyRequest, reply: unknown, done: (error?: Error) => void) => void

/** Asks for the types at the first request: a scope's own hooks may set the route's config after ours has seen it. */
function negotiation(produced: () => readonly string[]): Negotiate {
  let accepts: ReturnType<typeof createNegotiation> | undefined
  return function negotiate(request, _reply, done) {
    accepts ??= createNegotiation(produced())
    if (accepts(request.headers.accept)) return done()
    const message = `this is answered in ${produced().join(', ')}`
    done(withStatus(new KeelsonError('KEELSON_NOT_ACCEPTABLE', 'invalid', message)))
  }
}

/** Fastify plugin: JSON within limits, Zod and JSON Schema side by side, 406 and 415. Register it before the routes. */
export const input: FastifyPluginAsync<Partial<InputOptions>> = fp(inputPlugin, { name: 'keelson-http-input', fastify: '5.x' })
