/**
 * SQLSTATE, and the messages of `pg` that carry no code, as Keelson errors.
 * Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
 * A message names constraint and table, never a value: the server's own text, which does, stays in `cause`.
 */
import { isKeelsonError, KeelsonError, type ErrorKind } from '../core/errors.ts'

/** The part of `pg.DatabaseError` that is read here; also matches errors of another copy of `pg`. */
interface ServerError extends Error {
  readonly code: string
  readonly constraint?: string
  readonly table?: string
  readonly column?: string
}

interface ErrorDetails extends Readonly<Record<string, unknown>> {
  readonly constraint?: string
}

interface Rule {
  readonly code: string
  readonly kind: ErrorKind
  readonly says: string
  readonly retryable?: boolean
  readonly retryAfterMs?: number
}

/** Rules by SQLSTATE, or by its first two characters (the class); the longer one wins. */
const RULES: Readonly<Record<string, Rule>> = {
  '08': { code: 'KEELSON_DB_CONNECTION_LOST', kind: 'unavailable', says: 'the connection to the database failed' },
  '22001': invalidValue('a value is too long for its column'),
  '22003': invalidValue('a number is out of range for its column'),
  '22007': invalidValue('a date or time has the wrong format'),
  '22008': invalidValue('a date or time is out of range'),
  '22009': invalidValue('a time zone displacement is out of range'),
  '22021': invalidValue('a text has a character that the database cannot store'),
  '22030': invalidValue('a JSON object has the same key twice'),
  '22032': invalidValue('a text is not JSON'),
  '22P02': invalidValue('a text is not a value of its column type'),
  '22P05': invalidValue('a text has a character that the database cannot store'),
  '23502': invalidValue('a column that needs a value has none'),
  '23503': { code: 'KEELSON_DB_FOREIGN_KEY', kind: 'invalid', says: 'a referenced row does not fit' },
  '23505': { code: 'KEELSON_DB_UNIQUE', kind: 'conflict', says: 'a row with the same key exists' },
  '23514': { code: 'KEELSON_DB_CHECK', kind: 'invalid', says: 'a row breaks a check' },
  '23P01': { code: 'KEELSON_DB_EXCLUSION', kind: 'conflict', says: 'a row excludes another' },
  '25006': { code: 'KEELSON_DB_READ_ONLY', kind: 'unavailable', says: 'the database takes no writes here' },
  '25P02': { code: 'KEELSON_DB_TRANSACTION_FAILED', kind: 'internal', says: 'an earlier statement of the transaction failed' },
  '25P03': {
    code: 'KEELSON_DB_TRANSACTION_IDLE',
    kind: 'timeout',
    says: 'the transaction was idle for too long',
    retryable: false,
  },
  '25P04': { code: 'KEELSON_DB_STATEMENT_TIMEOUT', kind: 'timeout', says: 'the transaction took too long' },
  '28': denied('the database refused the login'),
  '3D000': denied('the database does not exist'),
  '40001': contention('KEELSON_DB_SERIALIZATION', 'concurrent transactions could not be ordered'),
  '40003': { code: 'KEELSON_DB_CONNECTION_LOST', kind: 'unavailable', says: 'nobody knows whether the statement completed' },
  '40P01': contention('KEELSON_DB_DEADLOCK', 'transactions waited for each other'),
  '53': { code: 'KEELSON_DB_EXHAUSTED', kind: 'overloaded', says: 'the database is out of resources', retryAfterMs: 5_000 },
  '53300': { code: 'KEELSON_DB_EXHAUSTED', kind: 'overloaded', says: 'the database has no connection left', retryAfterMs: 1_000 },
  '55P03': contention('KEELSON_DB_LOCK_TIMEOUT', 'a lock was not free in time'),
  '57014': { code: 'KEELSON_DB_STATEMENT_TIMEOUT', kind: 'timeout', says: 'a statement took too long and was cancelled' },
  '57P': { code: 'KEELSON_DB_CONNECTION_LOST', kind: 'unavailable', says: 'the database is shutting down or starting' },
}

const LOST: Rule = { code: 'KEELSON_DB_CONNECTION_LOST', kind: 'unavailable', says: 'the connection to the database was lost' }
const UNREACHABLE: Rule = { code: 'KEELSON_DB_UNREACHABLE', kind: 'unavailable', says: 'the database cannot be reached' }
const SILENT: Rule = { code: 'KEELSON_DB_STATEMENT_TIMEOUT', kind: 'timeout', says: 'the database did not answer in time' }
const OTHER: Rule = { code: 'KEELSON_DB_ERROR', kind: 'internal', says: 'a statement failed' }

/** `pg` and `pg-pool` report these without a code. */
const MESSAGES: readonly (readonly [RegExp, Rule])[] = [
  [/^timeout exceeded when trying to connect/, poolTimeoutRule()],
  [/^(timeout expired|Connection terminated due to connection timeout)/, UNREACHABLE],
  [/^The server does not support SSL|establishing an SSL connection/, { ...UNREACHABLE, retryable: false }],
  [/^Query read timeout/, SILENT],
  [/^Connection terminated|is not queryable|^Cannot use a pool after calling end/, LOST],
]

/** Codes of Node's sockets and resolver: before a connection, and on one that existed. */
const NEVER_CONNECTED =
  /^(ECONNREFUSED|ENOENT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|EADDRNOTAVAIL|EACCES|EMFILE|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|ERR_TLS_|ERR_SSL_)/
const SOCKET_DIED = /^(ECONNRESET|EPIPE|ETIMEDOUT|ECONNABORTED|ERR_STREAM_DESTROYED)$/

/**
 * What the rest of the program sees instead of the driver's error, which becomes its `cause`.
 * `details` has what is known of `sqlstate`, `constraint`, `table` and `column`. Keelson errors pass unchanged.
 */
export function toDatabaseError(cause: unknown): KeelsonError {
  if (isKeelsonError(cause)) return cause
  const { code, kind, says, retryable, retryAfterMs } = ruleFor(cause)
  const details = detailsOf(cause)
  const where = details.constraint ? ` (constraint "${details.constraint}")` : ''
  return new KeelsonError(code, kind, says + where, {
    cause,
    details,
    ...(retryable === undefined ? {} : { retryable }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}

/** The pool's own timeout: every connection is taken. */
export function poolTimeout(waitedMs: number, max: number): KeelsonError {
  const { code, kind, retryAfterMs } = poolTimeoutRule()
  const details = { waitedMs, max }
  return new KeelsonError(code, kind, `none of ${max} connections was free within ${waitedMs} ms`, { details, retryAfterMs })
}

/** No connection could be opened in time. */
export function connectTimeout(waitedMs: number): KeelsonError {
  const { code, kind, says } = UNREACHABLE
  return new KeelsonError(code, kind, `${says}: no connection opened within ${waitedMs} ms`, { details: { waitedMs } })
}

/** True for a unique violation; give `constraint` to ask for a certain one. */
export function isUniqueViolation(error: unknown, constraint?: string): error is KeelsonError<'KEELSON_DB_UNIQUE'> {
  if (!isKeelsonError(error, 'KEELSON_DB_UNIQUE')) return false
  return constraint === undefined || error.details['constraint'] === constraint
}

/** The SQLSTATE behind an error, wrapped or not. */
export function sqlstateOf(error: unknown): string | undefined {
  if (isKeelsonError(error)) return error.details['sqlstate'] as string | undefined
  return isServerError(error) ? error.code : undefined
}

/** True when the session is over or in doubt: fatal SQLSTATEs, a lost socket, and a server that moved away (25006). */
export function endsSession(error: unknown): boolean {
  const sqlstate = sqlstateOf(error)
  return sqlstate === undefined || /^(08|28|57P|25P03|25P04|25006|53300|3D000|XX)/.test(sqlstate)
}

function ruleFor(error: unknown): Rule {
  if (isServerError(error)) return ruleForSqlstate(error.code)
  // A name with several addresses fails with one error per address.
  if (error instanceof AggregateError && error.errors.length > 0) return ruleFor(error.errors[0])
  return error instanceof Error ? ruleForClientError(error) : OTHER
}

function ruleForSqlstate(sqlstate: string): Rule {
  return RULES[sqlstate] ?? RULES[sqlstate.slice(0, 3)] ?? RULES[sqlstate.slice(0, 2)] ?? OTHER
}

function ruleForClientError({ code = '', message }: NodeJS.ErrnoException): Rule {
  if (NEVER_CONNECTED.test(code)) return UNREACHABLE
  if (SOCKET_DIED.test(code)) return LOST
  return MESSAGES.find(([pattern]) => pattern.test(message))?.[1] ?? OTHER
}

function detailsOf(error: unknown): ErrorDetails {
  if (!isServerError(error)) return {}
  const { code: sqlstate, constraint, table, column } = error
  const known = Object.entries({ sqlstate, constraint, table, column }).filter(([, value]) => value !== undefined)
  return Object.fromEntries(known)
}

function isServerError(error: unknown): error is ServerError {
  // Five characters, and a severity, tell a server's code from Node's, such as EPIPE.
  if (!(error instanceof Error && 'severity' in error && 'code' in error)) return false
  return typeof error.code === 'string' && /^[0-9A-Z]{5}$/.test(error.code)
}

function invalidValue(says: string): Rule {
  return { code: 'KEELSON_DB_INVALID_VALUE', kind: 'invalid', says }
}

function contention(code: string, says: string): Rule {
  return { code, kind: 'overloaded', says, retryAfterMs: 1_000 }
}

function denied(says: string): Rule {
  return { code: 'KEELSON_DB_ACCESS_DENIED', kind: 'unavailable', says, retryable: false }
}

function poolTimeoutRule(): Rule {
  return { code: 'KEELSON_DB_POOL_TIMEOUT', kind: 'overloaded', says: 'no connection was free in time', retryAfterMs: 1_000 }
}
