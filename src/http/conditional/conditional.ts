/**
 * Conditional requests (RFC 9110 §13) over a row's version: nobody overwrites what somebody else has changed meanwhile,
 * and nobody is sent again what he has already.
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { etagOf } from './entity-tag.ts'
import { checkIfNoneMatch, preconditionRequired, readIfMatch, type ExpectedVersion } from './expected-version.ts'
import { dropBody, isNotModified, skipSerialization } from './not-modified.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Which versions the caller accepts.
     * @throws KeelsonError `KEELSON_PRECONDITION_REQUIRED` (428) without the header, `KEELSON_PRECONDITION_INVALID` (400)
     * if it cannot be read, `KEELSON_PRECONDITION_FAILED` (412) if it names no version at all.
     */
    ifMatch(): ExpectedVersion
    /** The same, but nothing where the header is absent. */
    ifMatch(options: { readonly optional: true }): ExpectedVersion | undefined
    /**
     * For requests that create (`If-None-Match: *`); reads need no call.
     * @param current the version there is; nothing if there is no such thing.
     * @throws KeelsonError `KEELSON_PRECONDITION_FAILED` (412) if the caller has excluded it.
     */
    ifNoneMatch(current: number | null | undefined): void
  }

  interface FastifyReply {
    /** Sets the `ETag` of a row's version; a GET or HEAD whose client has that version is then answered with 304. */
    etag(version: number): this
    /** Sets 201 and `Location`. @returns `body`, for the handler to return. */
    created<Body>(location: string, body: Body): Body
  }
}

async function conditionalPlugin(app: FastifyInstance): Promise<void> {
  app.decorateRequest('ifMatch', ifMatch as FastifyRequest['ifMatch'])
  app.decorateRequest('ifNoneMatch', function ifNoneMatch(this: FastifyRequest, current) {
    checkIfNoneMatch(this.headers['if-none-match'], current)
  })
  app.decorateReply('etag', function etag(this: FastifyReply, version) {
    return this.header('etag', etagOf(version))
  })
  app.decorateReply('created', function created(this: FastifyReply, location, body) {
    this.code(201).header('location', location)
    return body
  })

  app.addHook('preSerialization', function skipUnchanged(request, reply, payload, done) {
    if (request.method === 'GET' && isNotModified(request, reply)) skipSerialization(reply)
    done(null, payload)
  })
  app.addHook('onSend', function dropUnchanged(request, reply, payload, done) {
    const unchanged = (request.method === 'GET' || request.method === 'HEAD') && isNotModified(request, reply)
    done(null, unchanged ? dropBody(request, reply, payload) : payload)
  })
}

function ifMatch(this: FastifyRequest, options?: { readonly optional: true }): ExpectedVersion | undefined {
  const expected = readIfMatch(this.headers['if-match'])
  if (!expected && !options?.optional) throw preconditionRequired()
  return expected
}

/** Fastify plugin: `request.ifMatch()`, `request.ifNoneMatch()`, `reply.etag()`, `reply.created()`, and 304. */
export const conditional: FastifyPluginAsync = fp(conditionalPlugin, { name: 'keelson-http-conditional', fastify: '5.x' })
