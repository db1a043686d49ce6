/** `Vary`: what an answer depends on besides its URL. */
import type { FastifyReply } from 'fastify'

/** Adds `field` to `Vary`, if it is not there yet. (`reply.header('vary', …)` would replace the others.) */
export function vary(reply: FastifyReply, field: string): void {
  const present = String(reply.getHeader('vary') ?? '')
  const names = present.split(',').map((name) => name.trim().toLowerCase())
  if (names.includes(field.toLowerCase()) || names.includes('*')) return
  reply.header('vary', present === '' ? field : `${present}, ${field}`)
}
