/** `keelson/http/auth`: bearer tokens and scopes, stated per route. */
export { auth, AUTH_DEFAULTS, type AuthOptions } from './auth.ts'
export type { Principal } from './claims.ts'
export {
  AUTH_CHANNEL,
  type AccessRefused,
  type AuthEvent,
  type KeysFailed,
  type KeysRefreshed,
  type TokenRefused,
} from './events.ts'
export type { AuthPolicy } from './policy.ts'
export type { RefusalReason } from './refusal.ts'
export { signToken, type SignTokenOptions } from './sign-token.ts'
export type { PublicKey, RemoteKeys, SecretKey, VerificationKey } from './verification-key.ts'
export { createVerifier, type Verifier } from './verifier.ts'
export {
  VERIFIER_DEFAULTS,
  type IssuerOptions,
  type VerifierHooks,
  type VerifierOptions,
  type VerifierTuning,
} from './verifier-options.ts'
