/** Why a request is not let in. The caller learns only that; the reason is for events and the log. */
import { KeelsonError } from '../../core/errors.ts'

/** The first rule that a token broke. */
export type RefusalReason =
  | 'missing'
  | 'repeated_header'
  | 'too_long'
  | 'malformed'
  | 'header'
  | 'type'
  | 'algorithm'
  | 'unknown_key'
  | 'signature'
  | 'claims'
  | 'issuer'
  | 'audience'
  | 'expired'
  | 'lives_too_long'
  | 'not_yet_valid'
  | 'revoked'

/** @returns the error of every request whose token is absent or bad, with the same message whatever the reason. */
export function refused(reason: RefusalReason, cause?: unknown): KeelsonError<'KEELSON_UNAUTHENTICATED'> {
  const message = reason === 'missing' ? 'a bearer token is required' : 'the bearer token is not valid'
  return new KeelsonError('KEELSON_UNAUTHENTICATED', 'unauthenticated', message, { cause, details: { reason } })
}

/** @returns the error of a request whose token is good, but not for this. */
export function forbidden(required: readonly string[]): KeelsonError<'KEELSON_FORBIDDEN'> {
  return new KeelsonError('KEELSON_FORBIDDEN', 'forbidden', `the token lacks a scope: ${required.join(' ')} required`, {
    details: { required },
  })
}

/** @returns the error for "cannot tell": the token may be good, but what decides it cannot be reached. */
export function undecided(message: string, cause: unknown): KeelsonError<'KEELSON_AUTH_UNAVAILABLE'> {
  return new KeelsonError('KEELSON_AUTH_UNAVAILABLE', 'unavailable', message, { cause, retryAfterMs: 1_000 })
}
