/**
 * A key and the one algorithm it may be used with, decided when it is imported and never by a token
 * (RFC 8725 §3.1: that is how `none` and "the RSA public key as an HMAC secret" become impossible).
 */
import { createPublicKey, createSecretKey, type KeyObject, type webcrypto } from 'node:crypto'
import type { JWK } from 'jose'
import { refused } from './refusal.ts'

/** How an issuer's tokens are verified. */
export type VerificationKey = SecretKey | PublicKey | RemoteKeys

/** HS256, for a service that signs its own tokens. */
export interface SecretKey {
  /** At least 32 bytes. */
  readonly secret: string | Uint8Array
}

export interface PublicKey {
  /** PEM, or a JWK as an object. RSA of 2048 to 8192 bits, P-256, or Ed25519. */
  readonly publicKey: string | JWK
  /** Default: what the key's type allows: RS256, ES256 or EdDSA. */
  readonly algorithm?: 'RS256' | 'ES256' | 'EdDSA' | undefined
}

export interface RemoteKeys {
  /** The issuer's key set, `https:` only. */
  readonly jwksUrl: string
  /** Allows `http:` to this machine, for tests and development. Default: false. */
  readonly allowInsecureLoopback?: boolean | undefined
}

export interface BoundKey {
  /** The `alg` values that mean this key's algorithm. */
  readonly algorithms: readonly string[]
  readonly key: KeyObject | webcrypto.CryptoKey
}

/** Where the verifier gets the key for a token. */
export interface KeySource {
  /** @throws KeelsonError `KEELSON_UNAUTHENTICATED`, or `KEELSON_AUTH_UNAVAILABLE` when no key can be had at all. */
  keyFor(alg: string, kid: string | undefined): BoundKey | Promise<BoundKey>
}

const MIN_SECRET_BYTES = 32

/** RFC 9864 gives Ed25519 a name of its own; `EdDSA` is the older one for the same thing. */
const ED25519: readonly string[] = ['EdDSA', 'Ed25519']

/** @throws TypeError saying what the secret must be. */
export function bindSecret(secret: string | Uint8Array): BoundKey {
  const bytes = typeof secret === 'string' ? Buffer.from(secret, 'utf8') : secret
  if (!(bytes instanceof Uint8Array)) throw new TypeError('must be a string or bytes')
  if (bytes.length < MIN_SECRET_BYTES) throw new TypeError(`must have at least ${MIN_SECRET_BYTES} bytes`)
  const key = createSecretKey(bytes).toCryptoKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['verify'])
  return { algorithms: ['HS256'], key }
}

/** @throws TypeError saying what the key must be. */
export function bindPublicKey(source: string | JWK): BoundKey {
  if (isPrivate(source)) throw new TypeError('must be a public key, not a private one')
  const key = importKey(source)
  return { algorithms: algorithmsOf(key), key }
}

/** The same key for every token of its algorithm, whatever key id the token has. */
export function fixedKey(bound: BoundKey): KeySource {
  return {
    keyFor(alg) {
      if (!bound.algorithms.includes(alg)) throw refused('algorithm')
      return bound
    },
  }
}

function importKey(source: string | JWK): KeyObject {
  try {
    return typeof source === 'string' ? createPublicKey(source) : createPublicKey({ key: source, format: 'jwk' })
  } catch (cause) {
    throw new TypeError('must be a public key as PEM or JWK', { cause })
  }
}

/** Node derives the public half of a private key by itself; somebody who hands one over has mixed up two files. */
function isPrivate(source: string | JWK): boolean {
  return typeof source === 'string' ? source.includes('PRIVATE KEY') : source.d !== undefined || source.k !== undefined
}

function algorithmsOf(key: KeyObject): readonly string[] {
  const { modulusLength = 0, publicExponent, namedCurve } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < 2048 || modulusLength > 8192) throw new TypeError('must have 2048 to 8192 bits')
      if (publicExponent !== 65_537n) throw new TypeError('must have the public exponent 65537')
      return ['RS256']
    case 'ec':
      if (namedCurve !== 'prime256v1') throw new TypeError('must be on the curve P-256')
      return ['ES256']
    case 'ed25519':
      return ED25519
    default:
      throw new TypeError('must be an RSA, P-256 or Ed25519 key')
  }
}
