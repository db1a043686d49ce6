/**
 * Gives every request an id and a place in a distributed trace, both in each of its log lines, the id in each reply.
 * Spans are the business of an OpenTelemetry SDK, if the user has one: `request.trace` is where it finds its parent.
 */
import type { FastifyInstance, FastifyRequest, FastifyServerOptions } from 'fastify'
import type { IncomingMessage } from 'node:http'
import fp from 'fastify-plugin'
import { REQUEST_ID_HEADER, requestIdOf } from './request-id.ts'
import { traceHeaders, traceOf, type TraceContext, type TraceHeaders } from './trace.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Where this request stands in a distributed trace (W3C Trace Context). */
    readonly trace: TraceContext
  }
}

interface RawContext {
  readonly requestId: string
  readonly trace: TraceContext
}

/** Made before Fastify's request exists, so that the request's logger can carry it. */
const contexts = new WeakMap<IncomingMessage, RawContext>()

function contextOf(raw: IncomingMessage): RawContext {
  const known = contexts.get(raw)
  if (known) return known
  const made = { requestId: requestIdOf(raw.headers), trace: traceOf(raw.headers) }
  contexts.set(raw, made)
  return made
}

/** Options that only Fastify's constructor takes: how ids are made, and that each log line of a request carries them. */
export type RequestIdOptions = Required<Pick<FastifyServerOptions, 'genReqId' | 'requestIdHeader' | 'childLoggerFactory'>>

/** `Fastify({ ...requestIdOptions(), … })`. */
export function requestIdOptions(): RequestIdOptions {
  return {
    genReqId: (raw) => contextOf(raw).requestId,
    // Fastify would take the header as it comes.
    requestIdHeader: false,
    // Without Fastify's own binding, which is called `reqId` and knows no trace.
    childLoggerFactory(logger, _bindings, options, raw) {
      const { requestId, trace } = contextOf(raw as IncomingMessage)
      return logger.child({ requestId, traceId: trace.traceId }, options)
    },
  }
}

async function contextPlugin(app: FastifyInstance): Promise<void> {
  app.decorateRequest('trace', null as never)
  app.addHook('onRequest', function startContext(request, reply, done) {
    Object.assign(request, { trace: contextOf(request.raw).trace })
    reply.header(REQUEST_ID_HEADER, request.id)
    done()
  })
}

/** Fastify plugin: `request.trace`, and `X-Request-Id` on each reply. Register it first. */
export const context: typeof contextPlugin = fp(contextPlugin, { name: 'keelson-http-context', fastify: '5.x' })

/** Headers for a call made on behalf of `request`, so that the other service continues the trace. */
export function outgoingTraceHeaders(request: FastifyRequest): TraceHeaders {
  return traceHeaders(request.trace)
}
