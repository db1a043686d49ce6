/**
 * A token's text, taken apart: RFC 7515 compact serialization, and nothing that only nearly looks like it.
 * Everything here is unverified; it decides what to verify, and with which key.
 */
import { refused } from './refusal.ts'
import { parseObject, type JsonObject } from './json-object.ts'

export interface ParsedToken {
  readonly alg: string
  readonly kid: string | undefined
  readonly typ: string
  readonly payload: JsonObject
}

const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/
const KEY_ID = /^[\w-]{1,64}$/

/** Members that name a key or a processing rule from inside the token (RFC 8725 §3.10): always refused, never followed. */
const DANGEROUS = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'enc'] as const

/** @throws KeelsonError `KEELSON_UNAUTHENTICATED` */
export function parseToken(token: string, maxBytes: number): ParsedToken {
  if (token.length > maxBytes) throw refused('too_long')
  if (!COMPACT.test(token)) throw refused('malformed')
  const [header, payload, signature] = token.split('.').map(decodeCanonical) as [Buffer, Buffer, Buffer]
  if (signature.length === 0) throw refused('malformed')
  return { ...readHeader(header), payload: readObject(payload) }
}

/**
 * Base64url tolerates stray bits after the last byte; then many texts mean one token, and a cache or denylist keyed by
 * the text can be walked around.
 */
function decodeCanonical(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url')
  if (bytes.toString('base64url') !== part) throw refused('malformed')
  return bytes
}

function readObject(bytes: Buffer): JsonObject {
  try {
    return parseObject(bytes)
  } catch (cause) {
    throw refused('malformed', cause)
  }
}

function readHeader(bytes: Buffer): Omit<ParsedToken, 'payload'> {
  const { alg, kid, typ, ...rest } = readObject(bytes)
  if (DANGEROUS.some((name) => name in rest)) throw refused('header')
  if (typeof alg !== 'string') throw refused('algorithm')
  if (typeof typ !== 'string') throw refused('type')
  if (kid !== undefined && !(typeof kid === 'string' && KEY_ID.test(kid))) throw refused('unknown_key')
  return { alg, kid, typ }
}
