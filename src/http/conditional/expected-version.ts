/** Which versions a caller accepts, read once from `If-Match`, so that the statement that changes the row can ask for them. */
import { KeelsonError, type FieldProblem } from '../../core/errors.ts'
import { verdictOf } from '../errors/index.ts'
import { parseEntityTags, versionOf } from './entity-tag.ts'

export interface ExpectedVersion {
  /** The versions that the caller accepts, at least one; `null` for `If-Match: *`, any version of a thing that exists. */
  readonly versions: readonly number[] | null
  /**
   * @param current the version there is; nothing if there is no such thing.
   * @throws KeelsonError `KEELSON_PRECONDITION_FAILED` (412) unless the caller accepts it.
   */
  check(current: number | null | undefined): void
}

/**
 * @returns nothing if there is no header.
 * @throws KeelsonError `KEELSON_PRECONDITION_INVALID` (400), or `KEELSON_PRECONDITION_FAILED` (412) if no tag in the
 * header can be a version: weak tags match nothing here (RFC 9110 §13.1.1).
 */
export function readIfMatch(header: string | undefined): ExpectedVersion | undefined {
  if (header === undefined) return undefined
  const tags = parseEntityTags(header)
  if (tags === undefined) throw preconditionInvalid('if-match')
  const versions = tags === '*' ? null : tags.map(versionOf).filter((version) => version !== undefined)
  if (versions?.length === 0) throw preconditionFailed()
  return {
    versions,
    check(current) {
      const accepted = current != null && (versions === null || versions.includes(current))
      if (!accepted) throw preconditionFailed()
    },
  }
}

/** @throws KeelsonError `KEELSON_PRECONDITION_FAILED` (412) if `If-None-Match` names the version there is. */
export function checkIfNoneMatch(header: string | undefined, current: number | null | undefined): void {
  if (header === undefined) return
  const tags = parseEntityTags(header)
  if (tags === undefined) throw preconditionInvalid('if-none-match')
  if (current == null) return
  if (tags === '*' || tags.some(({ opaque }) => opaque === `v${current}`)) throw preconditionFailed()
}

/** @returns the error for a row that was changed by somebody else: 412. */
export function preconditionFailed(): KeelsonError<'KEELSON_PRECONDITION_FAILED'> {
  const message = 'this was changed since you read it; read it again, and repeat your change on what it is now'
  return answerable(new KeelsonError('KEELSON_PRECONDITION_FAILED', 'conflict', message))
}

/** @returns the error for a change that does not say which version it is meant for: 428 (RFC 6585 §3). */
export function preconditionRequired(): KeelsonError<'KEELSON_PRECONDITION_REQUIRED'> {
  const message = 'this request needs an If-Match header with the ETag of what you read'
  return answerable(new KeelsonError('KEELSON_PRECONDITION_REQUIRED', 'invalid', message))
}

function preconditionInvalid(header: 'if-match' | 'if-none-match'): KeelsonError<'KEELSON_PRECONDITION_INVALID'> {
  const problem: FieldProblem = {
    pointer: `/headers/${header}`,
    code: 'invalid_entity_tag',
    message: 'must be a list of entity tags in double quotes, or *',
  }
  const message = `the ${header} header is not a list of entity tags`
  return answerable(new KeelsonError('KEELSON_PRECONDITION_INVALID', 'invalid', message, { problems: [problem] }))
}

/** With a status for apps without `keelson/http/errors`: Fastify's own handler reads it. */
function answerable<E extends KeelsonError>(error: E): E {
  return Object.assign(error, { statusCode: verdictOf(error).status })
}
