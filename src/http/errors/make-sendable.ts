/**
 * Headers that Node refuses to send, such as a name in Polish, make `writeHead` throw. Fastify lets its error handler
 * run once: if the problem that it sends has the same header still, the client gets Fastify's own words instead.
 */
import { validateHeaderName, validateHeaderValue, type ServerResponse } from 'node:http'
import type { FastifyReply } from 'fastify'

/** Node's own note that this answer has no body (`_http_outgoing.js`); there is no public one. */
type Response = ServerResponse & { _hasBody?: boolean }

/** Drops the headers that cannot be sent, now and when a later hook (`onSend`) sets them again. */
export function makeSendable(reply: FastifyReply): void {
  const headers = reply.getHeaders()
  for (const name in headers) if (!isSendable(name, headers[name])) reply.removeHeader(name)

  const setHeader = reply.header.bind(reply) as (name: string, value: unknown) => FastifyReply
  reply.header = function setIfSendable(name: string, value: unknown): FastifyReply {
    return isSendable(name, value) ? setHeader(name, value) : reply
  }

  // A `writeHead(204)` that threw leaves it behind: the client would wait for the body of the problem.
  const response: Response = reply.raw
  if (response._hasBody === false) response._hasBody = reply.request.method !== 'HEAD'
}

function isSendable(name: string, value: unknown): boolean {
  try {
    validateHeaderName(name)
    // A list is sent line by line, and each line is checked.
    for (const line of [value].flat()) validateHeaderValue(name, line as string)
    return true
  } catch {
    return false
  }
}
