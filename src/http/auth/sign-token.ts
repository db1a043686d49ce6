/** Signs tokens for development and tests: `keelson token`, and suites that call a protected route. */
import { randomUUID } from 'node:crypto'
import { SignJWT } from 'jose'
import { systemClock, type Clock } from '../../core/clock.ts'
import { between, nonEmptyString, resolveOptions } from '../../core/options.ts'

export interface SignTokenOptions {
  /** HS256, at least 32 bytes. */
  readonly key: { readonly secret: string | Uint8Array }
  readonly issuer: string
  readonly audience: string
  /** Whom the token speaks for. */
  readonly sub: string
  readonly username?: string | undefined
  readonly scopes?: readonly string[] | undefined
  /** How long it is valid, in milliseconds, from 1_000 to a day. Default: 3_600_000. */
  readonly ttlMs?: number | undefined
  /** Default: the system's. */
  readonly clock?: Clock | undefined
}

const SIGN_TOKEN_DEFAULTS = { issuer: '', audience: '', sub: '', ttlMs: 3_600_000 }
const MIN_SECRET_BYTES = 32

/** @throws KeelsonError `KEELSON_CONFIG_INVALID`; TypeError for a weak key. */
export async function signToken({ key, username, scopes, clock = systemClock, ...given }: SignTokenOptions): Promise<string> {
  const { issuer, audience, sub, ttlMs } = resolveOptions('signToken', SIGN_TOKEN_DEFAULTS, given, {
    issuer: nonEmptyString,
    audience: nonEmptyString,
    sub: nonEmptyString,
    ttlMs: between(1_000, 86_400_000),
  })
  const secret = typeof key.secret === 'string' ? Buffer.from(key.secret, 'utf8') : key.secret
  if (secret.length < MIN_SECRET_BYTES) throw new TypeError(`the secret must have at least ${MIN_SECRET_BYTES} bytes`)
  const iat = Math.floor(clock.wallNow() / 1_000)
  const claims = { sub, ...(username === undefined ? {} : { username }), ...(scopes ? { scope: scopes.join(' ') } : {}) }
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt' })
    .setIssuer(issuer)
    .setAudience(audience)
    .setJti(randomUUID())
    .setIssuedAt(iat)
    .setExpirationTime(iat + Math.floor(ttlMs / 1_000))
    .sign(secret)
}
