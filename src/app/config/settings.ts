/** Every environment variable that Keelson reads: type, default and rule, each stated once. */
import {
  choice,
  host,
  hostHeader,
  integer,
  list,
  origin,
  text,
  textOfAtLeastBytes,
  trustedProxies,
  url,
  workers,
  type Parser,
  publicKeyPem,
} from './parsers.ts'

/** `development` only where somebody asked for it; everything else is production. */
export type Mode = 'development' | 'production'

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'

export interface Settings {
  readonly HOST: string
  readonly PORT: number
  readonly KEELSON_ADMIN_HOST: string
  readonly KEELSON_ADMIN_PORT: number
  readonly WORKERS: number | 'auto'
  readonly DATABASE_URL: string | undefined
  readonly DATABASE_POOL_TOTAL: number
  readonly REDIS_URL: string | undefined
  readonly JWT_SECRET: string | undefined
  readonly JWT_PUBLIC_KEY: string | undefined
  readonly JWKS_URL: string | undefined
  readonly JWT_ISSUER: string | undefined
  readonly JWT_AUDIENCE: string | undefined
  readonly CURSOR_SECRET: string | undefined
  readonly CORS_ORIGINS: readonly string[]
  readonly ALLOWED_HOSTS: readonly string[]
  readonly TRUST_PROXY: number | readonly string[]
  readonly LOG_LEVEL: LogLevel
  readonly DEADLINE_MS: number
  readonly REQUEST_TIMEOUT_MS: number
  readonly KEEP_ALIVE_TIMEOUT_MS: number
  readonly BODY_LIMIT_BYTES: number
  readonly DRAIN_DELAY_MS: number
  readonly DRAIN_TIMEOUT_MS: number
}

export type SettingName = keyof Settings

export interface Setting<T> {
  readonly parse: Parser<NonNullable<T>>
  /** In production, and in development where `inDevelopment` is not given. */
  readonly byDefault: T
  readonly inDevelopment?: T
  /** The value is shown to nobody. */
  readonly secret?: true
  /** One line for `keelson config` and the documentation. */
  readonly about: string
}

/** What a development token is issued by and for, where nobody says otherwise. */
const DEVELOPMENT_ISSUER = 'keelson-development'

export const SETTINGS: { readonly [Name in SettingName]: Setting<Settings[Name]> } = {
  HOST: { parse: host, byDefault: '0.0.0.0', inDevelopment: '127.0.0.1', about: 'address the service listens on' },
  PORT: { parse: integer(0, 65_535), byDefault: 3000, about: 'port the service listens on; 0 picks a free one' },
  KEELSON_ADMIN_HOST: {
    parse: host,
    byDefault: '0.0.0.0',
    inDevelopment: '127.0.0.1',
    about: 'address of the admin listener (probes, metrics)',
  },
  KEELSON_ADMIN_PORT: { parse: integer(0, 65_535), byDefault: 9464, about: 'port of the admin listener' },
  WORKERS: { parse: workers, byDefault: 1, about: 'worker processes; `auto` is one per available core' },
  DATABASE_URL: { parse: url('postgres:', 'postgresql:'), byDefault: undefined, secret: true, about: 'Postgres 15 or newer' },
  DATABASE_POOL_TOTAL: { parse: integer(1, 10_000), byDefault: 20, about: 'connections per machine, split over the workers' },
  REDIS_URL: {
    parse: url('redis:', 'rediss:', 'unix:'),
    byDefault: undefined,
    secret: true,
    about: 'Redis 7 or Valkey 8, or newer',
  },
  JWT_SECRET: { parse: textOfAtLeastBytes(32), byDefault: undefined, secret: true, about: 'shared key of HS256 tokens' },
  JWT_PUBLIC_KEY: {
    parse: publicKeyPem,
    byDefault: undefined,
    secret: true,
    about: 'public key of RS256, ES256 or EdDSA tokens, as PEM',
  },
  JWKS_URL: { parse: url('https:', 'http:'), byDefault: undefined, about: 'key set of the token issuer' },
  JWT_ISSUER: { parse: text, byDefault: undefined, inDevelopment: DEVELOPMENT_ISSUER, about: '`iss` that tokens must carry' },
  JWT_AUDIENCE: { parse: text, byDefault: undefined, inDevelopment: DEVELOPMENT_ISSUER, about: '`aud` that tokens must carry' },
  CURSOR_SECRET: {
    parse: textOfAtLeastBytes(32),
    byDefault: undefined,
    secret: true,
    about: 'signs the cursors of paged lists; JWT_SECRET where it is not set',
  },
  CORS_ORIGINS: { parse: list(origin), byDefault: [], about: 'origins that browsers may call from; none by default' },
  ALLOWED_HOSTS: { parse: list(hostHeader), byDefault: [], about: 'Host values that are answered; any by default' },
  TRUST_PROXY: { parse: trustedProxies, byDefault: 0, about: 'proxies in front: how many, or their addresses' },
  LOG_LEVEL: {
    parse: choice('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
    byDefault: 'info',
    about: 'least severe log line that is written',
  },
  DEADLINE_MS: { parse: integer(1, 3_600_000), byDefault: 10_000, about: 'time for one request, where the route sets none' },
  REQUEST_TIMEOUT_MS: { parse: integer(1_000, 3_600_000), byDefault: 30_000, about: 'time for receiving a whole request' },
  KEEP_ALIVE_TIMEOUT_MS: {
    parse: integer(1_000, 3_600_000),
    byDefault: 72_000,
    about: 'idle time before a connection is closed',
  },
  BODY_LIMIT_BYTES: { parse: integer(1, 1_073_741_824), byDefault: 102_400, about: 'largest request body' },
  DRAIN_DELAY_MS: {
    parse: integer(0, 600_000),
    byDefault: 5_000,
    inDevelopment: 0,
    about: 'time between "not ready" and the end of accepting',
  },
  DRAIN_TIMEOUT_MS: { parse: integer(0, 3_600_000), byDefault: 20_000, about: 'time for requests in flight to finish at a stop' },
}

export const SETTING_NAMES: readonly SettingName[] = Object.keys(SETTINGS) as SettingName[]

/** A service verifies tokens with exactly one of these. */
export const KEY_SETTINGS: readonly SettingName[] = ['JWT_SECRET', 'JWT_PUBLIC_KEY', 'JWKS_URL']
