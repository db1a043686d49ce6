/**
 * Connections that are done for. Node reads as many requests as a packet has, and hands out the next one before the
 * refusal of the last one has closed the connection: what stands behind a refused request must not run (RFC 9112 §11.2).
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

const refused = new WeakSet<Duplex>()

/** To be called in the same turn in which the parser hands out the request: the next one follows at once. */
export function markRefused(connection: Duplex): void {
  refused.add(connection)
}

/** Whether an earlier request on this connection was refused. */
export function isRefused(connection: Duplex): boolean {
  return refused.has(connection)
}

const answeredEarly = new WeakMap<Duplex, IncomingMessage>()

/** Remembers an answer that was given before its request had arrived, as to a body that nobody wants to read. */
export function markAnswered(request: IncomingMessage): void {
  if (request.complete === false) answeredEarly.set(request.socket, request)
}

/** Whether what is still arriving on this connection has its answer already. */
export function isAnswered(connection: Duplex): boolean {
  return answeredEarly.get(connection)?.complete === false
}
