/** Every error of this module: code, kind and message. Errors of a loader pass through untouched. */
import { KeelsonError } from '../core/errors.ts'

/** The load took longer than it may, whoever waits for it. */
export function loadTimeout(cache: string, timeoutMs: number, cause: unknown): KeelsonError<'KEELSON_CACHE_LOAD_TIMEOUT'> {
  return new KeelsonError('KEELSON_CACHE_LOAD_TIMEOUT', 'timeout', `cache ${cache}: not loaded within ${timeoutMs} ms`, {
    cause,
    details: { cache, timeoutMs },
  })
}

/** The reason of a load's signal when everyone who waited has gone; no caller sees it. */
export function loadAbandoned(cache: string): KeelsonError<'KEELSON_CACHE_LOAD_ABANDONED'> {
  return new KeelsonError('KEELSON_CACHE_LOAD_ABANDONED', 'cancelled', `cache ${cache}: nobody waits for this load any more`)
}

/** A loader or a caller gave `undefined`, which would read as "not cached". */
export function valueUndefined(cache: string): KeelsonError<'KEELSON_CACHE_VALUE_UNDEFINED'> {
  const message = `cache ${cache}: undefined cannot be cached; return null for something that is not there`
  return new KeelsonError('KEELSON_CACHE_VALUE_UNDEFINED', 'internal', message)
}

export function cacheClosed(cache: string): KeelsonError<'KEELSON_CACHE_CLOSED'> {
  return new KeelsonError('KEELSON_CACHE_CLOSED', 'unavailable', `cache ${cache}: closed`, { retryable: false })
}

export function invalidArgument(cache: string, rule: string): KeelsonError<'KEELSON_CACHE_ARGUMENT_INVALID'> {
  return new KeelsonError('KEELSON_CACHE_ARGUMENT_INVALID', 'internal', `cache ${cache}: ${rule}`)
}
