/**
 * The one error handler: whatever was thrown becomes a problem document, and is kept on the request for log and metrics.
 * A 5xx is logged here with its cause and stack, once; everything else is one field of the access log's line.
 */
import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { nonEmptyString, oneOf, resolveOptions } from '../../core/options.ts'
import { API_HEADERS } from './api-headers.ts'
import { makeSendable } from './make-sendable.ts'
import { checkNullBody } from './null-body.ts'
import { createProblem, PROBLEM_MEDIA_TYPE, PROBLEM_TYPE_BASE, type Problem } from './problem.ts'
import { markAnswered } from './refused-connections.ts'
import { retryAfterSeconds } from './retry-after.ts'
import { CLIENT_CLOSED_REQUEST, verdictOf, type StatusByCode, type Verdict } from './status.ts'
import { createUnknownRouteHandler } from './unknown-route.ts'

/** How a request failed. */
export interface RequestFailure {
  /** As thrown; not for clients. */
  readonly error: unknown
  /** 499 when the client had left and nothing could be sent. */
  readonly status: number
  /** Also in the answer, as `instance`. */
  readonly errorId: string
  /** What was sent; its `code` is safe as a metric label. */
  readonly problem: Problem
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set when the request was answered with a problem, or could not be answered. */
    failure: RequestFailure | null
  }
}

export interface ErrorsOptions {
  /** What a problem's `type` begins with; its code in kebab case follows. Default: `urn:keelson:problem:`. */
  readonly typeBase: string
  /** Statuses for the service's own error codes, e.g. `{ USERS_QUOTA_SPENT: 422 }`. Default: none, the kind decides. */
  readonly statuses: StatusByCode
  /**
   * Whether to answer what no route takes. Fastify allows one such handler per prefix: false where there is one already,
   * the app's own or this plugin's. Default: true.
   */
  readonly notFound: boolean
  /** Whether a `null` that the response schema does not allow is a 500. Default: true. */
  readonly refuseNull: boolean
  /** From 0 to 1, for `Retry-After`. Default: `Math.random`. */
  readonly random: () => number
}

export const ERRORS_DEFAULTS: ErrorsOptions = {
  typeBase: PROBLEM_TYPE_BASE,
  statuses: {},
  notFound: true,
  refuseNull: true,
  random: Math.random,
}

/** Headers that describe the body which the handler meant to send. */
const OF_THE_OTHER_BODY = [
  'etag',
  'last-modified',
  'expires',
  'location',
  'content-encoding',
  'content-disposition',
  'content-range',
]

async function errorsPlugin(app: FastifyInstance, given: Partial<ErrorsOptions>): Promise<void> {
  const options = resolveOptions('errors', ERRORS_DEFAULTS, given, {
    typeBase: nonEmptyString,
    notFound: oneOf(true, false),
    refuseNull: oneOf(true, false),
  })
  const { typeBase, statuses, notFound, refuseNull, random } = options

  // In a scope, the plugin may be there already, with other options.
  if (!app.hasRequestDecorator('failure')) app.decorateRequest('failure', null)
  if (notFound) app.setNotFoundHandler(createUnknownRouteHandler(app))
  if (refuseNull) {
    app.addHook('preSerialization', function refuseNullBody(request, reply, payload, done) {
      if (payload === null) checkNullBody(request, reply.statusCode)
      done()
    })
  }

  app.setErrorHandler(function answerWithProblem(error: unknown, request, reply) {
    const failure = describe(error, request, reply)
    request.failure = failure
    const { status, errorId } = failure
    if (status >= 500) request.log.error({ err: error, errorId }, 'request failed')
    if (status === CLIENT_CLOSED_REQUEST || reply.raw.headersSent) abandon(reply)
    else send(reply, failure)
  })

  function describe(error: unknown, request: FastifyRequest, reply: FastifyReply): RequestFailure {
    const verdict = clientHasLeft(request, reply) ? LEFT : stillThere(verdictOf(error, statuses))
    const errorId = randomUUID()
    const seconds = retryAfterSeconds(verdict, random)
    if (seconds !== undefined) reply.header('retry-after', String(seconds))
    return { error, status: verdict.status, errorId, problem: createProblem(verdict, typeBase, errorId) }
  }
}

const LEFT: Verdict = { status: CLIENT_CLOSED_REQUEST, code: 'KEELSON_CANCELLED' }

function clientHasLeft(request: FastifyRequest, reply: FastifyReply): boolean {
  // Asked of the socket too: the response learns of its end a little later.
  return reply.raw.destroyed || request.raw.socket?.destroyed === true
}

/** Work that was cancelled although its client waits: the service is going down. */
function stillThere(verdict: Verdict): Verdict {
  return verdict.status === CLIENT_CLOSED_REQUEST ? { status: 503, code: 'KEELSON_UNAVAILABLE' } : verdict
}

/** There is no telling the client any more, except by a broken connection if the answer had begun. */
function abandon(reply: FastifyReply): void {
  reply.hijack()
  reply.raw.destroy()
}

function send(reply: FastifyReply, { status, problem }: RequestFailure): void {
  makeSendable(reply)
  markAnswered(reply.request.raw)
  for (const name of OF_THE_OTHER_BODY) reply.removeHeader(name)
  for (const name in API_HEADERS) if (!reply.hasHeader(name)) reply.header(name, API_HEADERS[name])
  // Bytes, because a text would pass through a serializer that the route may have set.
  reply
    .code(status)
    .header('cache-control', 'no-store')
    .header('content-type', PROBLEM_MEDIA_TYPE)
    .send(Buffer.from(JSON.stringify(problem)))
}

/** Fastify plugin: one error handler, 404 and 405, and `request.failure`. Register it before the routes. */
export const errors: FastifyPluginAsync<Partial<ErrorsOptions>> = fp(errorsPlugin, {
  name: 'keelson-http-errors',
  fastify: '5.x',
})
