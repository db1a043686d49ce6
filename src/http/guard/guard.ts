/**
 * Refuses requests that a proxy in front and this server could read differently, before anything else looks at them.
 * Node's parser is strict about framing, but lets through two Host headers, an invalid one, `HTTP/2.0` in the request
 * line, `Transfer-Encoding: gzip, chunked`, and codings in HTTP/1.0.
 * Source: RFC 9112 §3.2 (Host), §6.1 (Transfer-Encoding); RFC 9110 §5.3 (fields that may not repeat).
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { KeelsonError } from '../../core/errors.ts'
import { integerAtLeast, resolveOptions, type Check } from '../../core/options.ts'
import { refuseRaw, refuseResponse, withStatus } from '../errors/index.ts'
import { isRefused, markRefused } from '../errors/refused-connections.ts'
import { checkFraming } from './framing.ts'
import { createHostCheck, isHost } from './host.ts'
import { createUrlCheck } from './url.ts'

export interface GuardOptions {
  /** Hosts that are ours, with a port if it matters; others are a 421. Default: none listed, any valid one. */
  readonly allowedHosts: readonly string[]
  /** Path and query together, in characters; more is a 414. Default: 8_192. */
  readonly maxUrlLength: number
  /** Whether `%2F` and `%5C` may stand in a path: proxies disagree on what they mean. Default: false. */
  readonly allowEncodedSlash: boolean
  /** Headers of a request; more is a 431. Default: 100. */
  readonly maxHeaders: number
  /** Open connections of this process; more are closed at once. Default: 10_000. */
  readonly maxConnections: number
}

export const GUARD_DEFAULTS: GuardOptions = {
  allowedHosts: [],
  maxUrlLength: 8_192,
  allowEncodedSlash: false,
  maxHeaders: 100,
  maxConnections: 10_000,
}

const hosts: Check = (value) =>
  Array.isArray(value) && value.every((host) => typeof host === 'string' && isHost(host))
    ? undefined
    : 'must be a list of host names, each with a port or without'

async function guardPlugin(app: FastifyInstance, given: Partial<GuardOptions>): Promise<void> {
  const options = resolveOptions('guard', GUARD_DEFAULTS, given, {
    allowedHosts: hosts,
    maxUrlLength: integerAtLeast(1),
    maxHeaders: integerAtLeast(1),
    maxConnections: integerAtLeast(1),
  })
  const checkHost = createHostCheck(options.allowedHosts)
  const checkUrl = createUrlCheck(options.maxUrlLength, options.allowEncodedSlash)
  let closing = false

  app.server.maxHeadersCount = options.maxHeaders
  app.server.maxConnections = options.maxConnections

  app.addHook('onRequest', function refuseAmbiguity(request, reply, done) {
    const { raw } = request
    if (isRefused(raw.socket)) return drop(request, reply)
    const refusal = (closing ? goingDown() : undefined) ?? checkFraming(raw) ?? checkHost(raw) ?? checkUrl(raw.url ?? '')
    if (!refusal) return done()
    // What follows on such a connection cannot be trusted either, and may have been read already.
    markRefused(raw.socket)
    reply.header('connection', 'close')
    done(withStatus(refusal))
  })

  app.addHook('preClose', function startRefusing(done) {
    closing = true
    done()
  })

  app.addHook('onReady', function answerWhatNodeDrops(done) {
    refuseUnanswered(app)
    done()
  })
}

/** Nothing runs, and nothing is sent: the answer to the refused request is the last one on its connection. */
function drop({ raw }: FastifyRequest, reply: FastifyReply): void {
  reply.hijack()
  // Read on: a body that waits would stop the connection from closing well.
  raw.resume()
  // Logs and gauges in front of us wait for the end of the response, which is in Node's queue and will not be sent.
  reply.raw.emit('close')
}

function goingDown(): KeelsonError {
  return new KeelsonError('KEELSON_CLOSING', 'unavailable', 'the service is going down')
}

/** Node closes a CONNECT without a word, and answers an unknown `Expect` without a body. Other listeners go first. */
function refuseUnanswered({ server }: FastifyInstance): void {
  if (server.listenerCount('connect') === 0) {
    server.on('connect', ({ socket }: IncomingMessage) => refuseRaw('KEELSON_CONNECT_REFUSED', socket))
  }
  if (server.listenerCount('checkExpectation') === 0) {
    server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
      refuseResponse('KEELSON_EXPECTATION_FAILED', response)
    })
  }
}

/** Fastify plugin: refuses ambiguous requests. Register it first, on a Fastify made with `serverOptions`. */
export const guard: FastifyPluginAsync<Partial<GuardOptions>> = fp(guardPlugin, { name: 'keelson-http-guard', fastify: '5.x' })
