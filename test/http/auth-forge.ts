/** Makes tokens of any shape, also those that no library would sign. */
import { createHmac, sign, type KeyObject } from 'node:crypto'

export const SECRET: string = 'a secret of exactly thirty-two b'
export const ISSUER: string = 'https://issuer.example'
export const AUDIENCE: string = 'users-api'
export const NOW_SECONDS: number = Date.UTC(2026, 0, 1) / 1_000

export const HEADER: Readonly<Record<string, unknown>> = { alg: 'HS256', typ: 'at+jwt' }
export const CLAIMS: Readonly<Record<string, unknown>> = {
  iss: ISSUER,
  aud: AUDIENCE,
  sub: 'user-1',
  username: 'ada',
  scope: 'users:read users:write',
  exp: NOW_SECONDS + 600,
}

type Part = Readonly<Record<string, unknown>> | string | Uint8Array

/** Objects become JSON; text and bytes are taken as they are. */
export function encode(part: Part): string {
  const raw = typeof part === 'string' || part instanceof Uint8Array ? part : JSON.stringify(part)
  return Buffer.from(raw).toString('base64url')
}

export function hmac(header: Part, payload: Part, secret: string = SECRET, hash: string = 'sha256'): string {
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${createHmac(hash, secret).update(input).digest('base64url')}`
}

/** A good token, but for what is given. */
export function forged(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): string {
  return hmac({ ...HEADER, ...header }, { ...CLAIMS, ...claims })
}

export function signed(header: Part, payload: Part, key: KeyObject): string {
  const input = `${encode(header)}.${encode(payload)}`
  const hash = key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  return `${input}.${sign(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}
