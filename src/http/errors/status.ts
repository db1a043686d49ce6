/**
 * The one place that decides which HTTP status an error has, and how much of it a client may know.
 * Of a 5xx it learns the kind and nothing else; of a 4xx the code and text that Keelson, or the service, wrote.
 * Foreign errors may carry whatever a driver put into them: their text never leaves, and their status only if
 * Fastify or `http-errors` set it.
 */
import { isKeelsonError, type ErrorKind, type FieldProblem, type KeelsonError } from '../../core/errors.ts'

/** Status codes by error code, over those that follow from the kind. */
export type StatusByCode = Readonly<Record<string, number>>

/** What a client is told. */
export interface Verdict {
  readonly status: number
  readonly code: string
  /** Absent: the constant text of the status. */
  readonly detail?: string | undefined
  readonly problems?: readonly FieldProblem[] | undefined
  readonly retryAfterMs?: number | undefined
}

/** Nothing can be sent: the client has left. It stands in logs only, as nginx has it. */
export const CLIENT_CLOSED_REQUEST = 499

const STATUS_BY_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  overloaded: 503,
  unavailable: 503,
  timeout: 504,
  cancelled: CLIENT_CLOSED_REQUEST,
  internal: 500,
}

const STATUS_BY_CODE: StatusByCode = {
  KEELSON_METHOD_NOT_ALLOWED: 405,
  KEELSON_NOT_ACCEPTABLE: 406,
  KEELSON_REQUEST_TIMEOUT: 408,
  KEELSON_PRECONDITION_FAILED: 412,
  KEELSON_BODY_TOO_LARGE: 413,
  KEELSON_URL_TOO_LONG: 414,
  KEELSON_MEDIA_TYPE_UNSUPPORTED: 415,
  KEELSON_CONTENT_ENCODING_UNSUPPORTED: 415,
  KEELSON_EXPECTATION_FAILED: 417,
  KEELSON_HOST_UNKNOWN: 421,
  KEELSON_PRECONDITION_REQUIRED: 428,
  KEELSON_RATE_LIMITED: 429,
  KEELSON_HEADERS_TOO_LARGE: 431,
  // Refused at boot; on a request it is the service's mistake, not the caller's.
  KEELSON_CONFIG_INVALID: 500,
}

/** What the kind alone lets a client know; also the code of every 5xx. */
const CODE_BY_KIND: Readonly<Record<ErrorKind, string>> = {
  invalid: 'KEELSON_INVALID',
  unauthenticated: 'KEELSON_UNAUTHENTICATED',
  forbidden: 'KEELSON_FORBIDDEN',
  not_found: 'KEELSON_NOT_FOUND',
  conflict: 'KEELSON_CONFLICT',
  overloaded: 'KEELSON_OVERLOADED',
  unavailable: 'KEELSON_UNAVAILABLE',
  timeout: 'KEELSON_TIMEOUT',
  cancelled: 'KEELSON_CANCELLED',
  internal: 'KEELSON_INTERNAL',
}

/** Keelson's code for each refusal of Fastify's own; its status follows from `STATUS_BY_CODE`, else it is 400. */
const CODE_BY_FASTIFY_CODE: Readonly<Record<string, string>> = {
  FST_ERR_VALIDATION: 'KEELSON_VALIDATION_FAILED',
  FST_ERR_CTP_BODY_TOO_LARGE: 'KEELSON_BODY_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'KEELSON_MEDIA_TYPE_UNSUPPORTED',
  FST_ERR_ROUTE_MISSING_CONTENT_TYPE: 'KEELSON_MEDIA_TYPE_UNSUPPORTED',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'KEELSON_BODY_INCOMPLETE',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'KEELSON_JSON_INVALID',
  FST_ERR_CTP_INVALID_JSON_BODY: 'KEELSON_JSON_INVALID',
  FST_ERR_BAD_URL: 'KEELSON_URL_MALFORMED',
  FST_ERR_MAX_PARAM_LENGTH: 'KEELSON_URL_TOO_LONG',
}

/** The same for Node's HTTP parser and its time limits. */
const CODE_BY_PARSER_CODE: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'KEELSON_REQUEST_TIMEOUT',
  HPE_HEADER_OVERFLOW: 'KEELSON_HEADERS_TOO_LARGE',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'KEELSON_BODY_TOO_LARGE',
}

/** Keelson errors whose text names tables, constraints or hosts. */
const SPEAKS_OF_THE_INSIDE = /^KEELSON_(DB|REDIS|HTTP_CLIENT|CACHE)_/

const INTERNAL: Verdict = { status: 500, code: CODE_BY_KIND.internal }

/** @param statuses the service's own, by error code. */
export function verdictOf(error: unknown, statuses: StatusByCode = {}): Verdict {
  if (isKeelsonError(error)) return ofKeelsonError(error, statuses)
  if (!isObject(error)) return INTERNAL
  // Node's own functions wrap the reason of a signal: `sleep(…, { signal })` past a deadline is still a deadline.
  if (error['code'] === 'ABORT_ERR' && isKeelsonError(error['cause'])) return ofKeelsonError(error['cause'], statuses)
  if (typeof error['code'] === 'string' && error['code'].startsWith('FST_')) return ofFastifyError(error, error['code'])
  if (typeof error['expose'] === 'boolean' && isClientStatus(error['statusCode'])) return ofStatus(error['statusCode'])
  return INTERNAL
}

/** Adds what other error handlers go by, for an app that has kept its own. */
export function withStatus<E extends KeelsonError>(error: E): E & { readonly statusCode: number } {
  return Object.assign(error, { statusCode: verdictOf(error).status })
}

/** The verdict on a message that Node's parser could not read. */
export function verdictOnParserError(code: string | undefined): Verdict {
  return ofCode(CODE_BY_PARSER_CODE[code ?? ''] ?? 'KEELSON_REQUEST_MALFORMED')
}

/** The verdict that a bare Keelson code stands for. Never a 5xx for what a client did wrong: those wake people up. */
export function ofCode(code: string): Verdict {
  return { status: STATUS_BY_CODE[code] ?? 400, code }
}

function ofKeelsonError(error: KeelsonError, statuses: StatusByCode): Verdict {
  const { code, kind, message, problems, retryAfterMs } = error
  const status = lookUp(statuses, code) ?? lookUp(STATUS_BY_CODE, code) ?? STATUS_BY_KIND[kind]
  if (status >= 500) return { status, code: publicCode(status, kind), retryAfterMs }
  if (SPEAKS_OF_THE_INSIDE.test(code)) return { status, code: CODE_BY_KIND[kind], retryAfterMs }
  return { status, code, detail: message, problems, retryAfterMs }
}

/** Codes are the service's own, and may be called `constructor`. */
function lookUp(table: StatusByCode, code: string): number | undefined {
  return Object.hasOwn(table, code) ? table[code] : undefined
}

function publicCode(status: number, kind: ErrorKind): string {
  if (status === 500) return CODE_BY_KIND.internal
  return STATUS_BY_KIND[kind] >= 500 ? CODE_BY_KIND[kind] : CODE_BY_KIND.unavailable
}

function ofFastifyError(error: Readonly<Record<string, unknown>>, fastifyCode: string): Verdict {
  // Fastify answers 503 to its own time limit; here 503 is overload, and 504 is lateness.
  if (fastifyCode === 'FST_ERR_HANDLER_TIMEOUT') return { status: 504, code: CODE_BY_KIND.timeout }
  if (!isClientStatus(error['statusCode'])) return INTERNAL
  const code = CODE_BY_FASTIFY_CODE[fastifyCode]
  return code === undefined ? ofStatus(error['statusCode']) : { ...ofCode(code), problems: ajvProblems(error) }
}

/** A status that may be trusted, of an error whose words may not. */
function ofStatus(status: number): Verdict {
  const [code] = Object.entries(STATUS_BY_CODE).find(([, known]) => known === status) ?? []
  const [kind] = Object.entries(STATUS_BY_KIND).find(([, known]) => known === status) ?? []
  return { status, code: code ?? CODE_BY_KIND[(kind ?? 'invalid') as ErrorKind] }
}

interface AjvFailure {
  readonly instancePath?: string
  readonly keyword?: string
  readonly message?: string
}

/** Where Fastify validates by itself, its list of failures says where and which rule, without the value. */
function ajvProblems(error: Readonly<Record<string, unknown>>): FieldProblem[] | undefined {
  const failures = error['validation']
  if (!Array.isArray(failures)) return undefined
  const part = error['validationContext']
  const prefix = part === 'body' || typeof part !== 'string' ? '' : `/${part === 'querystring' ? 'query' : part}`
  return (failures as readonly AjvFailure[]).map(({ instancePath = '', keyword = 'invalid', message = 'is not valid' }) => ({
    pointer: prefix + instancePath,
    code: keyword,
    message,
  }))
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isClientStatus(status: unknown): status is number {
  return typeof status === 'number' && status >= 400 && status < 500
}
