/** The resilience catalogue: every error that a pipeline makes itself. */
import { isKeelsonError, KeelsonError } from '../core/errors.ts'

/** Which of a pipeline's two time limits was meant. */
export type TimeoutScope = 'attempt' | 'total'

export function timeoutError(pipeline: string, scope: TimeoutScope, timeoutMs: number): KeelsonError<'KEELSON_TIMEOUT'> {
  const what = scope === 'attempt' ? 'no answer' : 'not done'
  return new KeelsonError('KEELSON_TIMEOUT', 'timeout', `${pipeline}: ${what} within ${timeoutMs} ms`, {
    details: { pipeline, scope, timeoutMs },
  })
}

/** For a caller whose deadline has passed before its signal could say so. */
export function deadlineError(pipeline: string): KeelsonError<'KEELSON_DEADLINE_EXCEEDED'> {
  const message = `${pipeline}: not called, the caller's deadline has passed`
  return new KeelsonError('KEELSON_DEADLINE_EXCEEDED', 'timeout', message, { details: { pipeline } })
}

export function breakerOpenError(
  pipeline: string,
  state: string,
  retryAfterMs: number | undefined,
): KeelsonError<'KEELSON_BREAKER_OPEN'> {
  return new KeelsonError('KEELSON_BREAKER_OPEN', 'unavailable', `${pipeline}: not called, the breaker is ${state}`, {
    retryAfterMs,
    details: { pipeline, state },
  })
}

export function bulkheadFullError(pipeline: string, limit: number, queueLimit: number): KeelsonError<'KEELSON_BULKHEAD_FULL'> {
  const message = `${pipeline}: not called, ${limit} calls run and ${queueLimit} wait`
  return new KeelsonError('KEELSON_BULKHEAD_FULL', 'overloaded', message, { details: { pipeline, limit, queueLimit } })
}

/** Whether a pipeline refused the call, so that the dependency never saw it. */
export function isRefusal(error: unknown): boolean {
  return isKeelsonError(error) && (error.code === 'KEELSON_BREAKER_OPEN' || error.code === 'KEELSON_BULKHEAD_FULL')
}

/**
 * `error` again, marked as one that must not be tried again by whoever is above us: every layer retrying
 * what the layer below gave up on is how retry storms multiply. A copy, because a thrown error may be shared
 * or frozen; one that is not ours goes back as it is.
 */
export function withBudgetExhausted(error: unknown): unknown {
  if (!isKeelsonError(error)) return error
  const { code, kind, message, retryAfterMs, problems } = error
  const details = { ...error.details, retryBudgetExhausted: true }
  return new KeelsonError(code, kind, message, { cause: error, retryable: false, details, retryAfterMs, problems })
}
