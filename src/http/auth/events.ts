/** What authentication reports, on the channel `keelson:auth`. Never a token, never a claim. */
import type { TelemetryEvent } from '../../core/telemetry.ts'
import type { RefusalReason } from './refusal.ts'

export const AUTH_CHANNEL = 'keelson:auth'

/** A presented token was not accepted. A request without any token is no event: the 401 is counted as a request. */
export interface TokenRefused extends TelemetryEvent {
  readonly type: 'token.refused'
  readonly reason: RefusalReason
}

/** A good token lacked a scope that the route asks for. */
export interface AccessRefused extends TelemetryEvent {
  readonly type: 'access.refused'
  /** The route's template, e.g. `/users/:id`. */
  readonly route: string
  /** The scopes that the route asks for. */
  readonly required: readonly string[]
}

/** An issuer's key set was read. */
export interface KeysRefreshed extends TelemetryEvent {
  readonly type: 'keys.refreshed'
  readonly issuer: string
  /** How many of its keys can be used. */
  readonly keys: number
  readonly durationMs: number
}

/** An issuer's key set could not be read; keys read before stay in use, for a day at most. */
export interface KeysFailed extends TelemetryEvent {
  readonly type: 'keys.failed'
  readonly issuer: string
  readonly error: unknown
}

export type AuthEvent = TokenRefused | AccessRefused | KeysRefreshed | KeysFailed
