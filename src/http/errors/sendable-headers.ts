/**
 * Headers that Node refuses to send, such as a name in Polish, make `writeHead` throw. Fastify lets its error handler
 * run once: if the problem that it sends has the same header still, the client gets Fastify's own words instead.
 */
import { validateHeaderName, validateHeaderValue } from 'node:http'
import type { FastifyReply } from 'fastify'

/** Drops what cannot be sent, now and when a hook behind us (`onSend`) sets it again. */
export function keepSendable(reply: FastifyReply): void {
  const headers = reply.getHeaders()
  for (const name in headers) if (!isSendable(name, headers[name])) reply.removeHeader(name)

  const setHeader = reply.header.bind(reply) as (name: string, value: unknown) => FastifyReply
  reply.header = function setIfSendable(name: string, value: unknown): FastifyReply {
    return isSendable(name, value) ? setHeader(name, value) : reply
  }
}

function isSendable(name: string, value: unknown): boolean {
  try {
    validateHeaderName(name)
    // Node asks of each line by itself.
    for (const line of [value].flat()) validateHeaderValue(name, line as string)
    return true
  } catch {
    return false
  }
}
