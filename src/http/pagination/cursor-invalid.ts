/** The one answer to every bad cursor: what is wrong with it is nobody's business but its maker's. */
import { KeelsonError } from '../../core/errors.ts'
import { verdictOf } from '../errors/index.ts'

/** @returns the error, with a status for apps without `keelson/http/errors`: Fastify's own handler reads it. */
export function cursorInvalid(): KeelsonError<'KEELSON_CURSOR_INVALID'> {
  const message = 'the cursor does not belong to this list; start again from the first page'
  const error = new KeelsonError('KEELSON_CURSOR_INVALID', 'invalid', message, {
    problems: [{ pointer: '/query/cursor', code: 'invalid_cursor', message: 'must be the nextCursor of a page of this list' }],
  })
  return Object.assign(error, { statusCode: verdictOf(error).status })
}
