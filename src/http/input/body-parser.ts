/** The only bodies that are read are JSON in UTF-8; forms and plain text, which pages can send without asking, are not. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isKeelsonError, KeelsonError } from '../../core/errors.ts'
import { withStatus } from '../errors/index.ts'
import type { JsonLimits } from './json-limits.ts'
import { parseJson } from './parse-json.ts'

const JSON_TYPES = /^application\/(?:[\w!#$&^.+-]+\+)?json(?:$|[;\s])/
const CHARSET = /;\s*charset\s*=\s*"?([^\s";]*)"?/gi

/** Replaces Fastify's parsers, which take any charset for UTF-8 and let `text/plain` through as a string. */
export function useJsonParser(app: FastifyInstance, limits: JsonLimits): void {
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser(JSON_TYPES, { parseAs: 'buffer' }, function parseBody(request, body, done) {
    // A thrown error would do as well; this is what Fastify expects of a parser with a callback.
    try {
      checkCharset(request)
      done(null, parseJson(body as Buffer, limits))
    } catch (error) {
      done(isKeelsonError(error) ? withStatus(error) : (error as Error))
    }
  })
}

function checkCharset(request: FastifyRequest): void {
  const type = request.headers['content-type'] ?? ''
  if (type.length <= 'application/json'.length) return
  for (const [, charset = ''] of type.matchAll(CHARSET)) {
    if (!/^utf-?8$/i.test(charset)) {
      throw new KeelsonError('KEELSON_MEDIA_TYPE_UNSUPPORTED', 'invalid', 'the charset of a body must be utf-8')
    }
  }
}
