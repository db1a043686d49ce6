/**
 * Puts the headers of an API on every reply, from a table that is made once.
 * (A general header package that composes them per request costs more than all the rest of a small route.)
 */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { resolveOptions } from '../../core/options.ts'
import { API_HEADERS, HSTS } from '../errors/index.ts'

export interface HeadersOptions {
  /** Headers to add, or to set otherwise, on every reply; names in lower case. Default: none. */
  readonly extra: Readonly<Record<string, string>>
  /** `Strict-Transport-Security` of replies over TLS, `X-Forwarded-Proto` of a trusted proxy included. Default: one year, with subdomains. */
  readonly hsts: string
}

export const HEADERS_DEFAULTS: HeadersOptions = { extra: {}, hsts: HSTS }

async function headersPlugin(app: FastifyInstance, given: Partial<HeadersOptions>): Promise<void> {
  const { extra, hsts } = resolveOptions('headers', HEADERS_DEFAULTS, given, {})
  const table = Object.entries({ ...API_HEADERS, ...extra })

  app.addHook('onRequest', function setHeaders(request, reply, done) {
    for (let i = 0; i < table.length; i++) {
      const [name, value] = table[i] as [string, string]
      reply.header(name, value)
    }
    if (request.protocol === 'https') reply.header('strict-transport-security', hsts)
    done()
  })
}

/** Fastify plugin: security headers on every reply. Register it before the plugins and routes that may override one. */
export const headers: FastifyPluginAsync<Partial<HeadersOptions>> = fp(headersPlugin, {
  name: 'keelson-http-headers',
  fastify: '5.x',
})
