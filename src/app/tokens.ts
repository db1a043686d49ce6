/** Who is trusted, from configuration: one issuer, one audience, one key. */
import { createVerifier, type Verifier } from '../http/auth/index.ts'
import type { Settings } from './config/index.ts'

export function createTokenVerifier(settings: Settings, development: boolean): Verifier {
  const { JWT_SECRET, JWT_PUBLIC_KEY, JWKS_URL, JWT_ISSUER = '', JWT_AUDIENCE = '' } = settings
  const common = { issuer: JWT_ISSUER, audience: JWT_AUDIENCE }
  if (JWT_SECRET !== undefined) return createVerifier({ ...common, key: { secret: JWT_SECRET } })
  if (JWT_PUBLIC_KEY !== undefined) return createVerifier({ ...common, key: { publicKey: JWT_PUBLIC_KEY } })
  return createVerifier({ ...common, key: { jwksUrl: JWKS_URL ?? '', allowInsecureLoopback: development } })
}
