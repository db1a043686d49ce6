/** How a request failed, as fields of its log line. */
import { isKeelsonError } from '../../core/errors.ts'
import type { RequestFailure } from '../errors/errors.ts'

/** `failure` is there only with `http/errors`, which logs the error of a 5xx itself, under the same id. */
export interface FailedRequest {
  readonly failure?: RequestFailure | null
}

export interface FailureFields {
  /** The id that the client was given; the line with error and stack has it too. */
  readonly errorId?: string
  readonly errorCode?: string
  /** Only without `http/errors`, because then nobody else logs it. */
  readonly err?: Error
}

export function failureFields(failure: RequestFailure | null | undefined, thrown: Error | undefined): FailureFields {
  if (failure) return { errorId: failure.errorId, errorCode: failure.problem.code }
  if (!thrown) return {}
  const { statusCode = 500 } = thrown as { readonly statusCode?: number }
  const errorCode = 'code' in thrown && typeof thrown.code === 'string' ? { errorCode: thrown.code } : {}
  return statusCode >= 500 ? { ...errorCode, err: thrown } : errorCode
}

/** Refused to save work: a line for each would undo the saving. */
export function isShed(failure: RequestFailure | null | undefined): failure is RequestFailure {
  return isKeelsonError(failure?.error) && failure.error.kind === 'overloaded'
}
