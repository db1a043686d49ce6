/** An error as fields of a log line: what it is, where, and the chain of its causes. */
import { isKeelsonError } from '../../core/errors.ts'

/** The deepest cause that is shown. */
const MAX_CAUSES = 4

/** Facts that Node, Postgres and Redis put on their errors and that hold no one's data (Postgres's `detail` does). */
const FACTS = ['code', 'kind', 'syscall', 'hostname', 'address', 'port', 'statusCode', 'table', 'constraint', 'routine'] as const

export interface ErrorFields {
  readonly type: string
  readonly message: string
  /** The frames alone; the message is there already. */
  readonly stack?: string
  readonly details?: unknown
  readonly cause?: ErrorFields | string
  readonly errors?: readonly (ErrorFields | string)[]
  readonly [fact: string]: unknown
}

export function errorFields(error: Error, depth = 0): ErrorFields {
  const fields: Record<string, unknown> & { type: string; message: string } = {
    type: error.name,
    message: error.message,
  }
  for (const fact of FACTS) {
    const value: unknown = Reflect.get(error, fact)
    if (typeof value === 'string' || typeof value === 'number') fields[fact] = value
  }
  if (isKeelsonError(error) && Object.keys(error.details).length > 0) fields['details'] = error.details
  const frames = error.stack?.indexOf('\n    at ') ?? -1
  if (error.stack && frames >= 0) fields['stack'] = error.stack.slice(frames + 1)
  if (depth < MAX_CAUSES) Object.assign(fields, causes(error, depth + 1))
  return fields
}

function causes(error: Error, depth: number): Pick<ErrorFields, 'cause' | 'errors'> {
  const describe = (value: unknown): ErrorFields | string => (value instanceof Error ? errorFields(value, depth) : typeof value)
  return {
    ...(error.cause === undefined ? {} : { cause: describe(error.cause) }),
    ...(error instanceof AggregateError ? { errors: error.errors.slice(0, 3).map(describe) } : {}),
  }
}
