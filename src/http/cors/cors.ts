/**
 * CORS by `@fastify/cors`, held to an exact list of origins: no `*`, no `null`, no patterns, no reflection of whatever came.
 * Preflights are answered in `onRequest`, before authentication: browsers send them without credentials.
 * Source: https://fetch.spec.whatwg.org/#http-cors-protocol; OWASP ASVS 5.0, V3.4.2.
 */
import fastifyCors, { type FastifyCorsOptions } from '@fastify/cors'
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { atLeast, resolveOptions, type Check } from '../../core/options.ts'

export interface CorsOptions {
  /** Who may read answers: scheme, host and port, as browsers send them. Default: nobody, CORS is off. */
  readonly origins: readonly string[]
  /** Methods that a page may use. Default: all that change or read. */
  readonly methods: readonly string[]
  /** Request headers that a page may set. Default: those that the rest of Keelson reads. */
  readonly allowedHeaders: readonly string[]
  /** Response headers that a page may read. Default: those that the rest of Keelson sets. */
  readonly exposedHeaders: readonly string[]
  /** Whether cookies and client certificates are sent along. Default: false. */
  readonly credentials: boolean
  /** How long a browser may remember a preflight's answer, in seconds. Default: 600. */
  readonly maxAgeSeconds: number
}

export const CORS_DEFAULTS: CorsOptions = {
  origins: [],
  methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
  allowedHeaders: [
    'authorization',
    'content-type',
    'if-match',
    'if-none-match',
    'idempotency-key',
    'traceparent',
    'x-request-id',
  ],
  exposedHeaders: ['etag', 'link', 'location', 'retry-after', 'x-request-id'],
  credentials: false,
  maxAgeSeconds: 600,
}

const exactOrigins: Check = (value) => {
  if (!Array.isArray(value)) return 'must be a list of origins'
  const wrong: unknown = value.find((origin) => !isOrigin(origin))
  return wrong === undefined ? undefined : `has ${JSON.stringify(wrong)}, which is not an origin such as https://app.example.com`
}

async function corsPlugin(app: FastifyInstance, given: Partial<CorsOptions>): Promise<void> {
  const options = resolveOptions('cors', CORS_DEFAULTS, given, { origins: exactOrigins, maxAgeSeconds: atLeast(0) })
  if (options.origins.length === 0) return
  const allowed = new Set(options.origins)
  const common: FastifyCorsOptions = {
    methods: [...options.methods],
    allowedHeaders: [...options.allowedHeaders],
    exposedHeaders: [...options.exposedHeaders],
    credentials: options.credentials,
    maxAge: options.maxAgeSeconds,
  }

  // Decided per request, because only then does the package say `Vary: Origin` to everyone, and nothing else to strangers.
  await app.register(fastifyCors, {
    delegator(request: FastifyRequest, answer: (error: Error | null, options: FastifyCorsOptions) => void) {
      const { origin } = request.headers
      if (origin === undefined || !allowed.has(origin)) return answer(null, STRANGER)
      answer(null, { ...common, origin, preflight: request.headers['access-control-request-method'] !== undefined })
    },
  })
}

const STRANGER: FastifyCorsOptions = { origin: false }

/** `new URL` also accepts paths, credentials, capital letters and stars; an origin has none of these. */
function isOrigin(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value) || value.includes('*')) return false
  const { origin, protocol } = new URL(value)
  return origin === value && (protocol === 'https:' || protocol === 'http:')
}

/** Fastify plugin: CORS for listed origins. Register it before authentication. */
export const cors: FastifyPluginAsync<Partial<CorsOptions>> = fp(corsPlugin, { name: 'keelson-http-cors', fastify: '5.x' })
