/** Names for requests: the caller's own if it is harmless to print, else 128 random bits. */
import type { IncomingHttpHeaders } from 'node:http'
import { randomHex } from './random-id.ts'

export const REQUEST_ID_HEADER = 'x-request-id'

/** Nothing that could forge a log line, break a header or grow without bound. */
const SAFE_ID = /^[A-Za-z0-9._-]{8,64}$/

export function requestIdOf(headers: IncomingHttpHeaders): string {
  const given = headers[REQUEST_ID_HEADER]
  return typeof given === 'string' && SAFE_ID.test(given) ? given : randomHex(16)
}
