/** Everything that can keep the embedded Postgres from running, and what the reader can do about it. */
import { KeelsonError, type ErrorKind } from '../core/errors.ts'

export type EmbeddedErrorCode =
  | 'KEELSON_EMBEDDED_UNAVAILABLE'
  | 'KEELSON_EMBEDDED_IN_USE'
  | 'KEELSON_EMBEDDED_FOLDER_UNUSABLE'
  | 'KEELSON_EMBEDDED_WRONG_VERSION'
  | 'KEELSON_EMBEDDED_START_FAILED'
  | 'KEELSON_EMBEDDED_EXITED'

const KINDS: Readonly<Record<EmbeddedErrorCode, ErrorKind>> = {
  KEELSON_EMBEDDED_UNAVAILABLE: 'unavailable',
  KEELSON_EMBEDDED_IN_USE: 'conflict',
  KEELSON_EMBEDDED_FOLDER_UNUSABLE: 'invalid',
  KEELSON_EMBEDDED_WRONG_VERSION: 'invalid',
  KEELSON_EMBEDDED_START_FAILED: 'unavailable',
  KEELSON_EMBEDDED_EXITED: 'unavailable',
}

/** @returns an error of this module; none is worth retrying without a person changing something first. */
export function embeddedError(
  code: EmbeddedErrorCode,
  message: string,
  details: Readonly<Record<string, unknown>> = {},
): KeelsonError<EmbeddedErrorCode> {
  return new KeelsonError(code, KINDS[code], message, { details, retryable: false })
}

/** An error as it crosses the channel from the guard process to the one that asked for the server. */
export interface EmbeddedFailure {
  readonly code: EmbeddedErrorCode
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}
