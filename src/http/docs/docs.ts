/** OpenAPI 3.1 from the routes' own schemas and policies, and a page to read and try them. */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { nonEmptyString, oneOf, resolveOptions } from '../../core/options.ts'
import { PROBLEM_SCHEMA } from '../errors/index.ts'
import { describeOperation, type OperationSource } from './operation.ts'

export interface DocsOptions {
  /** Title of the document. Default: `API`. */
  readonly title: string
  /** Version of the service. Default: `0.0.0`. */
  readonly version: string
  /** One paragraph in Markdown. Default: none. */
  readonly description: string
  /** Whether to serve `/openapi.json` and `/docs`; the document can be had from `app.swagger()` either way. Default: true. */
  readonly serve: boolean
}

export const DOCS_DEFAULTS: DocsOptions = { title: 'API', version: '0.0.0', description: '', serve: true }

/** The page needs its own scripts and styles, and nothing from anywhere else. */
const PAGE_CSP = {
  'default-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'style-src': ["'self'", "'unsafe-inline'"],
  'frame-ancestors': ["'none'"],
}

async function docsPlugin(app: FastifyInstance, given: Partial<DocsOptions>): Promise<void> {
  const options = resolveOptions('docs', DOCS_DEFAULTS, given, {
    title: nonEmptyString,
    version: nonEmptyString,
    description: (v) => (typeof v === 'string' ? undefined : 'must be a string'),
    serve: oneOf(true, false),
  })
  await app.register(swagger, {
    openapi: documentOf(options),
    transform: (source) => describeOperation(source as unknown as OperationSource) as never,
  })
  if (options.serve) await app.register(servePages)
}

/** Encapsulated: its routes are public, unlogged, and answer other types than JSON, and no other route is. */
async function servePages(scope: FastifyInstance): Promise<void> {
  const withPolicy = scope as unknown as { policy?: (policy: { readonly auth: false }) => void }
  withPolicy.policy?.({ auth: false })
  scope.addHook('onRoute', (route) => {
    const produces = ['application/json', 'text/html', 'text/css', 'text/javascript', 'image/png', 'image/svg+xml', '*/*']
    route.config = Object.assign({}, route.config, { keelson: { auth: false, log: false, produces } })
  })
  scope.get('/openapi.json', { schema: { hide: true } as object }, async () => scope.swagger())
  await scope.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: PAGE_CSP as never,
    uiConfig: { persistAuthorization: true },
  })
}

function documentOf({ title, version, description }: DocsOptions): object {
  return {
    openapi: '3.1.0',
    info: { title, version, ...(description ? { description } : {}) },
    servers: [{ url: '/' }],
    components: {
      schemas: { Problem: PROBLEM_SCHEMA },
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  }
}

/** Fastify plugin: `GET /openapi.json`, `GET /docs`, `app.swagger()`. Register it before the routes. */
export const docs: FastifyPluginAsync<Partial<DocsOptions>> = fp(docsPlugin, { name: 'keelson-http-docs', fastify: '5.x' })
