/**
 * Problem details (RFC 9457): the body of every failure.
 * `type` and `code` say the same thing, one as a URI and one for a `switch`; both are stable, `detail` is for people.
 */
import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { FieldProblem } from '../../core/errors.ts'
import type { Verdict } from './status.ts'

export const PROBLEM_MEDIA_TYPE = 'application/problem+json; charset=utf-8'

/** What `type` begins with unless the service names a place where its problems are described. */
export const PROBLEM_TYPE_BASE = 'urn:keelson:problem:'

export interface Problem {
  /** Identifies the kind of problem, e.g. `urn:keelson:problem:not-found`. */
  readonly type: string
  /** The status in words. */
  readonly title: string
  readonly status: number
  /** One sentence; of a 5xx always the same one. */
  readonly detail: string
  /** `urn:uuid:` and the error id, which is also in the log. */
  readonly instance: string
  /** Stable, e.g. `KEELSON_NOT_FOUND`. */
  readonly code: string
  /** Which parts of the input are wrong. */
  readonly errors?: readonly FieldProblem[]
}

/** JSON Schema of `Problem`, for OpenAPI. */
export const PROBLEM_SCHEMA: Readonly<Record<string, unknown>> = Object.freeze({
  title: 'Problem',
  description: 'Problem details (RFC 9457)',
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'instance', 'code'],
  properties: {
    type: { type: 'string', format: 'uri', examples: [`${PROBLEM_TYPE_BASE}validation-failed`] },
    title: { type: 'string', examples: ['Bad Request'] },
    status: { type: 'integer', minimum: 400, maximum: 599, examples: [400] },
    detail: { type: 'string', examples: ['the body is not valid'] },
    instance: { type: 'string', format: 'uri', description: 'Quote this to support: the log line of the failure has it too' },
    code: { type: 'string', examples: ['KEELSON_VALIDATION_FAILED'] },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['pointer', 'code', 'message'],
        properties: {
          pointer: { type: 'string', description: 'JSON pointer (RFC 6901)', examples: ['/email'] },
          code: { type: 'string', examples: ['invalid_format'] },
          message: { type: 'string', examples: ['Invalid email address'] },
        },
      },
    },
  },
})

const DETAIL_BY_STATUS: Readonly<Record<number, string>> = {
  401: 'the request needs valid credentials',
  403: 'the credentials do not allow this',
  404: 'there is nothing here',
  405: 'this method is not allowed here; the `Allow` header lists those that are',
  406: 'none of the media types in `Accept` can be answered',
  408: 'the request did not arrive in time',
  409: 'the request conflicts with the present state',
  413: 'the body is too large',
  414: 'the URL, or a part of it, is too long',
  415: 'the body is not of a supported media type',
  417: 'the expectation in `Expect` cannot be met',
  429: 'too many requests',
  431: 'the headers are too large',
  503: 'the service cannot take this request now; try again later',
  504: 'the request could not be finished in time',
}

const DETAIL_OF_OTHER_4XX = 'the request is not valid'
const DETAIL_OF_OTHER_5XX = 'something went wrong here; the log has it under the id in `instance`'

export function createProblem(verdict: Verdict, typeBase: string = PROBLEM_TYPE_BASE, errorId: string = randomUUID()): Problem {
  const { status, code, detail, problems } = verdict
  const fallback = status < 500 ? DETAIL_OF_OTHER_4XX : DETAIL_OF_OTHER_5XX
  return {
    type: typeBase + slugOf(code),
    title: STATUS_CODES[status] ?? 'Unknown',
    status,
    detail: detail ?? DETAIL_BY_STATUS[status] ?? fallback,
    instance: `urn:uuid:${errorId}`,
    code,
    // Copied by name, so that nothing else that a problem may have on it leaves.
    ...(problems?.length
      ? { errors: problems.map(({ pointer, code: rule, message }) => ({ pointer, code: rule, message })) }
      : {}),
  }
}

/** `KEELSON_NOT_FOUND` is `not-found`; a service's own `USERS_EMAIL_TAKEN` is `users-email-taken`. */
function slugOf(code: string): string {
  return code
    .replace(/^KEELSON_/, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
}
