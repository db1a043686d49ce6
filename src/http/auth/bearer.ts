/** The token that a request carries: `Authorization: Bearer`, and nowhere else (RFC 6750 §2.1). */
import type { IncomingMessage } from 'node:http'
import { refused } from './refusal.ts'

/** Names of schemes ignore case (RFC 9110 §11.1). What follows is judged as a token later. */
const BEARER = /^bearer +(\S.*)$/i

/** @returns nothing if there is no bearer token, which other schemes count as. */
export function bearerToken({ headers, rawHeaders }: IncomingMessage): string | undefined {
  const { authorization } = headers
  if (authorization === undefined) return undefined
  // Node keeps the first of several in silence, a proxy in front may have looked at the last.
  if (isRepeated('authorization', rawHeaders)) throw refused('repeated_header')
  return BEARER.exec(authorization)?.[1]
}

function isRepeated(name: string, rawHeaders: readonly string[]): boolean {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const raw = rawHeaders[i] ?? ''
    if (raw.length === name.length && raw.toLowerCase() === name) count++
  }
  return count > 1
}
