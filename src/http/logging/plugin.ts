/**
 * One line per request, when it is over: also when the handler threw, nobody answered or the client left.
 * Made for an app with Fastify's own request lines switched off (`disableRequestLogging`).
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { systemClock, type Clock } from '../../core/clock.ts'
import { atLeast, oneOf, resolveOptions } from '../../core/options.ts'
import { onResponseEnd } from '../../core/response-end.ts'
import { subscribe } from '../../core/telemetry.ts'
import { HTTP_CHANNEL, type HttpEvent } from '../errors/events.ts'
import { cut } from './redact.ts'
import { failureFields, isShed, type FailedRequest } from './request-failure.ts'
import { createSampler } from './sampler.ts'

export interface LoggingOptions {
  /** When a line shows the path as it came, without the query. Default: `'unmatched'`, where there is no route to show. */
  readonly path: 'unmatched' | 'always' | 'never'
  /** Whether a line shows the client's address. Default: true. */
  readonly remoteAddress: boolean
  /** Lines per second and reason for requests that were refused unseen; the rest is counted. Default: 10. */
  readonly refusedPerSecond: number
  /** Default: the system's. */
  readonly clock: Clock
}

export const LOGGING_DEFAULTS: LoggingOptions = {
  path: 'unmatched',
  remoteAddress: true,
  refusedPerSecond: 10,
  clock: systemClock,
}

/** What nginx calls a client that left before its answer. */
const CLIENT_CLOSED_REQUEST = 499
const MAX_PATH_CHARS = 256

/** What other plugins may have put on a request; read if it is there. */
interface Annotated extends FailedRequest {
  readonly principal?: { readonly sub?: string } | null
  readonly trace?: { readonly traceId: string; readonly spanId: string } | null
}

async function loggingPlugin(app: FastifyInstance, given: Partial<LoggingOptions>): Promise<void> {
  const options = resolveOptions('logging', LOGGING_DEFAULTS, given, {
    path: oneOf('unmatched', 'always', 'never'),
    remoteAddress: oneOf(true, false),
    refusedPerSecond: atLeast(0),
  })
  const { clock } = options
  const sampler = createSampler(clock, options.refusedPerSecond)
  /** Beside the request and not on it: its shape is not ours to change. */
  const thrown = new WeakMap<FastifyRequest, Error>()

  app.addHook('onRequest', function startLine(request, reply, done) {
    const startedAt = clock.now()
    // Now, because a connection that has ended has no address any more.
    const remoteAddress = options.remoteAddress ? request.ip : undefined
    // Not `onResponse`, which Fastify runs only for an answer that was sent to its end.
    onResponseEnd(reply.raw, (completed) => {
      const status = completed ? reply.statusCode : brokenOffStatus(request as Annotated)
      writeLine(request, reply, { status, durationMs: clock.now() - startedAt, remoteAddress })
    })
    done()
  })
  app.addHook('onError', function keepError(request, _reply, error, done) {
    thrown.set(request, error)
    done()
  })

  const refusals = subscribe<HttpEvent>(HTTP_CHANNEL, ({ source, status, code, errorId }) => {
    const suppressed = sampler.admit(`refused ${code}`)
    if (suppressed === undefined) return
    app.log.info({ source, status, errorCode: code, errorId, suppressed: suppressed || undefined }, 'request refused')
  })
  app.addHook('onClose', async () => refusals[Symbol.dispose]())

  function writeLine(request: FastifyRequest, reply: FastifyReply, ending: Ending): void {
    if (isSilent(request.routeOptions.config)) return
    const { failure } = request as Annotated
    const suppressed = isShed(failure) ? sampler.admit(failure.problem.code) : 0
    if (suppressed === undefined) return
    const fields = {
      ...requestFields(request, reply, ending),
      ...failureFields(failure, thrown.get(request)),
      suppressed: suppressed || undefined,
    }
    // The app's logger and not the request's, whose ids would be there twice.
    if (fields.status >= 500) app.log.error(fields, 'request')
    else app.log.info(fields, 'request')
  }

  function requestFields(request: FastifyRequest, reply: FastifyReply, ending: Ending): RequestFields {
    const { trace, principal } = request as Annotated
    const route = request.is404 ? undefined : request.routeOptions.url
    const showsPath = options.path === 'always' || (options.path === 'unmatched' && route === undefined)
    return {
      requestId: request.id,
      ...(trace ? { traceId: trace.traceId, spanId: trace.spanId } : {}),
      method: request.method,
      route: route ?? '<unmatched>',
      path: showsPath ? pathOf(request.url) : undefined,
      status: ending.status,
      durationMs: Math.round(ending.durationMs * 1_000) / 1_000,
      bytes: Number(reply.getHeader('content-length')) || undefined,
      remoteAddress: ending.remoteAddress,
      principal: principal?.sub,
      aborted: ending.status === CLIENT_CLOSED_REQUEST || undefined,
    }
  }
}

/** `http/errors`, if it is there, knows an answer that we broke off ourselves from one that nobody waited for. */
function brokenOffStatus({ failure }: FailedRequest): number {
  return failure?.status ?? CLIENT_CLOSED_REQUEST
}

interface Ending {
  readonly status: number
  readonly durationMs: number
  readonly remoteAddress: string | undefined
}

interface RequestFields {
  readonly requestId: string
  readonly traceId?: string
  readonly spanId?: string
  readonly method: string
  readonly route: string
  readonly path: string | undefined
  readonly status: number
  readonly durationMs: number
  readonly bytes: number | undefined
  readonly remoteAddress: string | undefined
  readonly principal: string | undefined
  readonly aborted: true | undefined
}

/** `config: { keelson: { log: false } }` on a route, e.g. one that a probe asks every second. */
function isSilent(config: unknown): boolean {
  return (config as { readonly keelson?: { readonly log?: boolean } } | undefined)?.keelson?.log === false
}

function pathOf(url: string): string {
  const query = url.indexOf('?')
  return cut(query < 0 ? url : url.slice(0, query), MAX_PATH_CHARS)
}

/** Fastify plugin: one log line per request. Register it after `context`, and before whatever may refuse a request. */
export const logging: typeof loggingPlugin = fp(loggingPlugin, { name: 'keelson-http-logging', fastify: '5.x' })
