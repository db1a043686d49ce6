/** The root of every error Keelson throws. Match on `code` or `kind`, never on `instanceof` or `message`. */

/** In the global registry, so that two copies of the package recognise each other's errors. */
const brand: unique symbol = Symbol.for('keelson.error')

/** What went wrong, in terms an HTTP edge, a retry or an operator can act on. */
export type ErrorKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'overloaded'
  | 'unavailable'
  | 'timeout'
  | 'cancelled'
  | 'internal'

const WORTH_RETRYING: ReadonlySet<ErrorKind> = new Set<ErrorKind>(['overloaded', 'unavailable', 'timeout'])

export interface KeelsonErrorOptions {
  readonly cause?: unknown
  /** Whether the same call may succeed if tried again. Default: true for `overloaded`, `unavailable` and `timeout`. */
  readonly retryable?: boolean
  /** Facts for logs; JSON-serialisable, free of secrets, never shown to clients. */
  readonly details?: Readonly<Record<string, unknown>>
  /** Milliseconds after which another try may succeed; at the HTTP edge it becomes `Retry-After`. */
  readonly retryAfterMs?: number | undefined
  /** Which parts of the caller's input are wrong; shown to the caller, so never with the value received. */
  readonly problems?: readonly FieldProblem[]
}

/** One wrong part of a caller's input. */
export interface FieldProblem {
  /** JSON pointer (RFC 6901) into the body, or `/query/limit`-like for other parts; `''` is the whole. */
  readonly pointer: string
  /** Short and stable, e.g. `too_big`. */
  readonly code: string
  /** A sentence for a person. */
  readonly message: string
}

export class KeelsonError<Code extends string = string> extends Error {
  readonly code: Code
  readonly kind: ErrorKind
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>>
  readonly retryAfterMs: number | undefined
  readonly problems: readonly FieldProblem[]

  constructor(code: Code, kind: ErrorKind, message: string, options: KeelsonErrorOptions = {}) {
    super(message, { cause: options.cause })
    Object.defineProperty(this, brand, { value: true })
    this.name = 'KeelsonError'
    this.code = code
    this.kind = kind
    this.retryable = options.retryable ?? WORTH_RETRYING.has(kind)
    this.details = options.details ?? {}
    this.retryAfterMs = options.retryAfterMs
    this.problems = options.problems ?? []
  }
}

/** Narrows `error` to a Keelson error, optionally to one `code`. */
export function isKeelsonError<C extends string>(error: unknown, code?: C): error is KeelsonError<C> {
  if (!(error instanceof Error && brand in error && 'code' in error)) return false
  return code === undefined || error.code === code
}
