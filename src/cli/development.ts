/** What development brings along, so that nothing has to be installed or configured: a signing key, kept in `.keelson/`. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { configError, Environment, type Settings } from '../app/config/index.ts'

/** Everything that development keeps on disk; safe to delete, and never to be committed. */
export const DEVELOPMENT_FOLDER: string = resolve('.keelson')

const KEY_VARIABLES = ['JWT_SECRET', 'JWT_PUBLIC_KEY', 'JWKS_URL'] as const

/** Adds a signing key where the environment names none; the same one every time, so that tokens survive a restart. */
export function withDevelopmentKey(environment: Environment): Environment {
  if (KEY_VARIABLES.some((name) => environment.find(name) ?? environment.find(`${name}_FILE`))) return environment
  return withVariables(environment, { JWT_SECRET_FILE: developmentKeyFile() })
}

/** The variables weigh less than those that are there. */
export function withVariables(environment: Environment, variables: Readonly<Record<string, string>>): Environment {
  return new Environment(environment.flatten(), [{ path: 'development default', variables }])
}

function developmentKeyFile(): string {
  const path = join(DEVELOPMENT_FOLDER, 'jwt-secret')
  if (existsSync(path)) return path
  mkdirSync(DEVELOPMENT_FOLDER, { recursive: true, mode: 0o700 })
  try {
    // `wx`: two first starts at once must end up with one key.
    writeFileSync(path, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return path
    throw configError([`JWT_SECRET: ${path} cannot be written (${code}); make its folder yours, or set JWT_SECRET yourself`])
  }
  return path
}

export interface TokenBearer {
  readonly sub?: string | undefined
  readonly username?: string | undefined
  readonly scopes: readonly string[]
}

const TOKEN_TTL_MS = 12 * 3_600_000

/** @throws KeelsonError `KEELSON_CONFIG_INVALID` where tokens are verified with a key that cannot sign. */
export async function developmentToken(settings: Settings, bearer: TokenBearer): Promise<string> {
  const { JWT_SECRET, JWT_ISSUER = '', JWT_AUDIENCE = '' } = settings
  if (JWT_SECRET === undefined) throw configError(['JWT_SECRET is needed to sign a token; a public key can only verify'])
  const { signToken } = await import('../http/auth/index.ts')
  return signToken({
    key: { secret: JWT_SECRET },
    issuer: JWT_ISSUER,
    audience: JWT_AUDIENCE,
    sub: bearer.sub ?? 'ada',
    username: bearer.username ?? 'ada',
    scopes: bearer.scopes,
    ttlMs: TOKEN_TTL_MS,
  })
}
