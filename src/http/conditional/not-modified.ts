/** 304 for what the client has already (RFC 9110 §13.1.2): decided from the ETag, before the body is serialized. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Readable } from 'node:stream'
import { parseEntityTags } from './entity-tag.ts'

/** A header that cannot be read is as good as none: the client gets the whole answer, which is never wrong. */
export function isNotModified(request: FastifyRequest, reply: FastifyReply): boolean {
  const condition = request.headers['if-none-match']
  if (condition === undefined || reply.statusCode !== 200) return false
  const etag = reply.getHeader('etag')
  if (typeof etag !== 'string') return false
  const tags = parseEntityTags(condition)
  if (tags === '*' || tags === undefined) return tags === '*'
  // The weak comparison: `W/"a"` and `"a"` are the same to a cache.
  const own = etag.replace(/^W\//, '')
  return tags.some(({ opaque }) => `"${opaque}"` === own)
}

/** For a body that is still an object. */
export function skipSerialization(reply: FastifyReply): void {
  reply.code(304).removeHeader('content-type')
  // Null is no body at all; an empty text would get a Content-Length that is not the one of the 200.
  reply.serializer(() => null as never)
}

/** For a body that is text, bytes or a stream. @returns what is sent instead. */
export function dropBody(request: FastifyRequest, reply: FastifyReply, payload: unknown): unknown {
  reply.code(304).removeHeader('content-type')
  // Fastify's HEAD route drops the body by itself, but needs it for its length.
  if (request.method === 'HEAD') return payload
  reply.removeHeader('content-length')
  ;(payload as Partial<Readable> | null | undefined)?.destroy?.()
  return null
}
