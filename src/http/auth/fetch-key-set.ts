/** Reads an issuer's key set (RFC 7517 §5) within strict limits: it comes from elsewhere, and decides who gets in. */
import type { JWK } from 'jose'
import { parseObject } from './json-object.ts'
import { bindPublicKey, type BoundKey } from './verification-key.ts'

export interface KeySet {
  /** By key id. A key without one has an id that no token can carry. */
  readonly keys: ReadonlyMap<string, BoundKey>
}

const MAX_BYTES = 65_536
const MAX_KEYS = 50

/** @throws if the answer is not 200, longer than 64 KB, a redirect, or not a key set with at least one usable key. */
export async function fetchKeySet(url: URL, signal: AbortSignal): Promise<KeySet> {
  const response = await fetch(url, {
    signal,
    redirect: 'error',
    headers: { accept: 'application/jwk-set+json, application/json' },
  })
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`the key set answered with status ${response.status}`)
  }
  return parseKeySet(await readWithin(response, MAX_BYTES))
}

async function readWithin(response: Response, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let total = 0
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    total += chunk.byteLength
    if (total > maxBytes) throw new Error(`the key set is longer than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Keys that this service cannot use are passed over: a set may hold keys for other purposes. */
function parseKeySet(bytes: Buffer): KeySet {
  const { keys: listed } = parseObject(bytes)
  if (!Array.isArray(listed)) throw new Error('the key set has no list of keys')
  if (listed.length > MAX_KEYS) throw new Error(`the key set has more than ${MAX_KEYS} keys`)

  const keys = new Map<string, BoundKey>()
  const ambiguous = new Set<string>()
  for (const [index, jwk] of listed.entries()) {
    const bound = bindForVerifying(jwk)
    if (!bound) continue
    const id = typeof jwk.kid === 'string' ? jwk.kid : `(no id ${index})`
    if (keys.has(id)) ambiguous.add(id)
    keys.set(id, bound)
  }
  for (const id of ambiguous) keys.delete(id)
  if (keys.size === 0) throw new Error('the key set has no usable key')
  return { keys }
}

/** Honours what the key says about itself: `use`, `key_ops` and `alg` (RFC 7517 §4). */
function bindForVerifying(jwk: JWK | null): BoundKey | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined
  if (jwk.use !== undefined && jwk.use !== 'sig') return undefined
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) return undefined
  try {
    const { key, algorithms } = bindPublicKey(jwk)
    const allowed = jwk.alg === undefined ? algorithms : algorithms.filter((name) => name === jwk.alg)
    return allowed.length > 0 ? { key, algorithms: allowed } : undefined
  } catch {
    return undefined
  }
}
