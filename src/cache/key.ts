/** Cache keys: typed outside, one canonical string inside; two different keys never share one. */
import { KeelsonError } from '../core/errors.ts'

/** A string, a number, or a non-empty tuple of those: `'42'`, `42` and `['user', 42]` are three keys. */
export type CacheKey = string | number | readonly (string | number)[]

/** Longer than any sensible key; a longer one is data by mistake, and each copy of it costs memory. */
const MAX_KEY_LENGTH = 8_192

/** First characters with a meaning here; a string that starts with one is written as JSON. */
const RESERVED = new Set(['#', '[', '"'])

/** @throws KeelsonError `KEELSON_CACHE_KEY_INVALID` for anything that is no key, without repeating it. */
export function canonicalKey(key: CacheKey): string {
  const id = typeof key === 'string' ? ofString(key) : typeof key === 'number' ? ofNumber(key) : ofTuple(key)
  if (id.length > MAX_KEY_LENGTH) throw invalidKey(`is longer than ${MAX_KEY_LENGTH} characters`)
  return id
}

function ofString(key: string): string {
  // A lone surrogate becomes U+FFFD on the way to Redis, and two keys would become one; JSON escapes it.
  return RESERVED.has(key[0] ?? '') || !key.isWellFormed() ? JSON.stringify(key) : key
}

function ofNumber(key: number): string {
  if (!Number.isFinite(key)) throw invalidKey('is not a finite number')
  return `#${key}`
}

function ofTuple(key: readonly (string | number)[]): string {
  const parts: unknown = key
  if (!Array.isArray(parts) || parts.length === 0) throw invalidKey('must be a string, a number or a non-empty tuple of those')
  for (const part of parts) {
    if (typeof part !== 'string' && !Number.isFinite(part))
      throw invalidKey('holds something other than strings and finite numbers')
  }
  return JSON.stringify(parts)
}

function invalidKey(rule: string): KeelsonError<'KEELSON_CACHE_KEY_INVALID'> {
  return new KeelsonError('KEELSON_CACHE_KEY_INVALID', 'internal', `a cache key ${rule}`)
}
