/**
 * One deadline per request: the least of the route's, the caller's (if trusted) and the default.
 * When it passes, or the client leaves, the signal aborts and everything that draws on it stops.
 *
 * The signal is our own: Fastify 5.12's `request.signal` aborts at the end of a POST body, with the client still there
 * (https://github.com/fastify/fastify/pull/6725).
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { systemClock, type Clock } from '../../core/clock.ts'
import { createDeadline, type Deadline } from '../../core/deadline.ts'
import { KeelsonError } from '../../core/errors.ts'
import { atLeast, resolveOptions } from '../../core/options.ts'
import { onResponseEnd } from '../../core/response-end.ts'
import { withStatus } from '../errors/index.ts'
import { callerDeadlineMs } from './caller-deadline.ts'
import { deadlineOf } from './route-option.ts'

declare module 'fastify' {
  // Fastify's own type parameters all have defaults, so they need not be repeated.
  interface RouteShorthandOptions {
    /** Time for one request of this route, in milliseconds; past it the work is ended and the answer is 504. */
    deadlineMs?: number
  }

  interface FastifyRequest {
    /** The time left for this request, and the signal that its work must obey. */
    readonly deadline: Deadline
  }
}

export interface DeadlineOptions {
  /** Time for a request whose route sets no `deadlineMs`, in milliseconds. Default: 10_000. */
  readonly defaultMs: number
  /** How long a handler that is deaf to its signal may go on before the client is answered, in milliseconds. Default: 100. */
  readonly graceMs: number
  /** Whether this caller may shorten the deadline by `X-Request-Timeout-Ms`. Default: no caller. */
  readonly trustCaller: (request: FastifyRequest) => boolean
  /** Default: the system's. */
  readonly clock: Clock
}

export const DEADLINE_DEFAULTS: DeadlineOptions = {
  defaultMs: 10_000,
  graceMs: 100,
  trustCaller: () => false,
  clock: systemClock,
}

async function deadlinePlugin(app: FastifyInstance, given: Partial<DeadlineOptions>): Promise<void> {
  const options = resolveOptions('deadline', DEADLINE_DEFAULTS, given, {
    defaultMs: atLeast(1),
    graceMs: atLeast(0),
    trustCaller: (v) => (typeof v === 'function' ? undefined : 'must be a function of the request'),
  })
  const { clock, defaultMs, graceMs, trustCaller } = options
  const routeMs = Symbol('keelson.deadlineMs')

  // Null until the hook below has run; a property of fixed shape is cheaper than a lookup by request.
  app.decorateRequest('deadline', null as never)

  app.addHook('onRoute', function compileDeadline(route) {
    const deadlineMs = deadlineOf(route)
    // A copy: several routes may have been given one and the same object.
    if (deadlineMs !== undefined) route.config = Object.assign({}, route.config, { [routeMs]: deadlineMs })
  })

  app.addHook('onRequest', function startDeadline(request, reply, done) {
    const config = request.routeOptions.config as { readonly [routeMs]?: number }
    const ownMs = config[routeMs] ?? defaultMs
    const timeoutMs = trustCaller(request) ? Math.min(ownMs, callerDeadlineMs(request)) : ownMs
    let grace: Disposable | undefined
    const deadline = createDeadline({
      timeoutMs,
      clock,
      onExpired(error) {
        // So that an app without `keelson/http/errors` answers 504 too.
        withStatus(error)
        // A handler that obeys its signal answers by itself; this is for the others.
        grace = clock.after(graceMs, () => answerInstead(request, reply, error))
      },
    })
    Object.assign(request, { deadline })
    onResponseEnd(reply.raw, function endDeadline(completed) {
      grace?.[Symbol.dispose]()
      if (completed) deadline[Symbol.dispose]()
      else deadline.cancel(new KeelsonError('KEELSON_CLIENT_GONE', 'cancelled', 'the client has left'))
    })
    done()
  })
}

function answerInstead({ raw }: FastifyRequest, reply: FastifyReply, error: KeelsonError): void {
  if (reply.sent || reply.raw.destroyed) return
  // Compared, because an injected request has no such property.
  if (raw.complete !== false) return void reply.send(error)
  // The client's own slowness is no failure of ours; and what it still sends must not be taken for a next request.
  const late = new KeelsonError('KEELSON_REQUEST_TIMEOUT', 'timeout', 'the request did not arrive in time', { cause: error })
  void reply.header('connection', 'close').send(withStatus(late))
}

/** Fastify plugin: `request.deadline`, and `deadlineMs` on routes. */
export const deadline: FastifyPluginAsync<Partial<DeadlineOptions>> = fp(deadlinePlugin, {
  name: 'keelson-http-deadline',
  fastify: '5.x',
})
