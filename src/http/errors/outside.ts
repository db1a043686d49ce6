/**
 * Refusals outside every hook: what Node's parser cannot read, and what Fastify's router cannot match.
 * Both are given to Fastify's constructor (`serverOptions` of `keelson/http/guard` does), answer with the same problem
 * document and headers as everything else, and are reported on the channel `keelson:http`.
 */
import { randomUUID } from 'node:crypto'
import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { systemClock } from '../../core/clock.ts'
import { API_HEADERS, HSTS } from './api-headers.ts'
import { emitHttpEvent } from './events.ts'
import { createProblem, PROBLEM_MEDIA_TYPE } from './problem.ts'
import { isAnswered, isRefused, markRefused } from './refused-connections.ts'
import { ofCode, verdictOf, verdictOnParserError, type Verdict } from './status.ts'

/** How long a refused client may go on sending. Closing at once would reset the connection and lose the answer. */
const LINGER_MS = 1_000

/** Node's own link from a socket to the response it is busy with (`_http_server.js`); there is no public one. */
type HttpSocket = Duplex & { readonly _httpMessage?: ServerResponse | null }

interface ProblemMessage {
  readonly head: Readonly<Record<string, string>>
  readonly body: string
}

interface ConnectionError extends Error {
  readonly code?: string
}

/** Fastify option: answers a message that the parser refuses, or that does not arrive in time. Never throws. */
export function clientErrorHandler(error: ConnectionError, socket: Socket): void {
  // The parser reports its error again with each chunk that arrives.
  if (isRefused(socket)) return
  const gone = error.code === 'ECONNRESET' || error.code === 'EPIPE' || socket.destroyed
  if (gone || isAnswered(socket)) socket.destroy()
  else refuseRaw(verdictOnParserError(error.code), socket)
}

/** Writes a problem onto a bare socket and closes it, for Node's events that come without a response. */
export function refuseRaw(refusal: Verdict | string, socket: Duplex): void {
  // A peer that is gone is no reason to crash.
  socket.on('error', () => socket.destroy())
  if (isRefused(socket)) return
  markRefused(socket)
  writeInTurn(typeof refusal === 'string' ? ofCode(refusal) : refusal, socket)
}

/**
 * Earlier requests on the connection (pipelining) get their answers first: this one's would be taken for theirs.
 * A request whose body is still to come is the very one that is refused.
 */
function writeInTurn(verdict: Verdict, socket: HttpSocket): void {
  const pending = socket._httpMessage
  if (pending?.req.complete) {
    pending.once('close', () => setImmediate(writeInTurn, verdict, socket))
  } else if (pending?.headersSent || !socket.writable) {
    socket.destroy()
  } else {
    const { head, body } = problemMessage(verdict, socket)
    const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`)
    const linger = systemClock.after(LINGER_MS, () => socket.destroy())
    socket.once('close', () => linger[Symbol.dispose]())
    socket.end(`HTTP/1.1 ${verdict.status} ${STATUS_CODES[verdict.status]}\r\n${lines.join('')}\r\n${body}`)
  }
}

/** Answers a request that Node hands over outside of Fastify. Node sees to it that it is answered in its turn. */
export function refuseResponse(code: string, response: ServerResponse): void {
  const { socket } = response.req
  markRefused(socket)
  const verdict = ofCode(code)
  const { head, body } = problemMessage(verdict, socket)
  response.writeHead(verdict.status, head).end(body)
}

function problemMessage(verdict: Verdict, socket: Duplex): ProblemMessage {
  const body = JSON.stringify(createProblem(verdict, undefined, report('parser', verdict)))
  const head = {
    ...API_HEADERS,
    ...(socket instanceof TLSSocket ? { 'strict-transport-security': HSTS } : {}),
    'content-type': PROBLEM_MEDIA_TYPE,
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  }
  return { head, body }
}

/** Fastify option: answers what the router refuses before there is a route, hence hooks. */
export function frameworkErrors(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const verdict = verdictOf(error)
  const errorId = report('router', verdict)
  if (request.protocol === 'https') reply.header('strict-transport-security', HSTS)
  reply
    .code(verdict.status)
    .headers(API_HEADERS)
    .header('content-type', PROBLEM_MEDIA_TYPE)
    .send(Buffer.from(JSON.stringify(createProblem(verdict, undefined, errorId))))
}

/** @returns the id under which the refusal is found. */
function report(source: 'parser' | 'router', { status, code }: Verdict): string {
  const errorId = randomUUID()
  emitHttpEvent({ type: 'request.refused', source, status, code, errorId })
  return errorId
}
