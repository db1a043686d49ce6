/**
 * What no route takes: 404, or 405 with `Allow` where the path is known (RFC 9110 §15.5.6), or the answer to `OPTIONS`.
 * The router itself is asked, method by method, so that parameters, wildcards, prefixes and its options count as always.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { KeelsonError } from '../../core/errors.ts'

type Constraints = Record<string, unknown>

/** @returns the handler; it must be made before the routes, because it learns which constraints they have. */
export function createUnknownRouteHandler(app: FastifyInstance): (request: FastifyRequest, reply: FastifyReply) => unknown {
  const constraintSets = new Map<string, Constraints | undefined>([['', undefined]])
  app.addHook('onRoute', function noteConstraints(route) {
    if (route.constraints) constraintSets.set(JSON.stringify(route.constraints), route.constraints as Constraints)
  })

  function takes(method: string, url: string): boolean {
    for (const constraints of constraintSets.values()) {
      if (app.findRoute({ method, url, ...(constraints && { constraints }) } as never)) return true
    }
    return false
  }

  return function answerUnknown(request, reply) {
    const { method, url = '/' } = request.raw
    const allowed = app.supportedMethods.filter((known) => known !== 'OPTIONS' && takes(known, url))
    // A handler that calls `callNotFound` is where the method is allowed.
    if (allowed.length === 0 || allowed.includes(method ?? '')) {
      throw new KeelsonError('KEELSON_NOT_FOUND', 'not_found', 'there is nothing here')
    }
    reply.header('allow', [...allowed, 'OPTIONS'].join(', '))
    if (method === 'OPTIONS') return reply.code(204).send()
    throw new KeelsonError('KEELSON_METHOD_NOT_ALLOWED', 'invalid', `${method} is not allowed here`)
  }
}
