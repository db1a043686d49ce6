/** A service as its tests want it: on a real, empty database, with tokens at hand, its log kept, closed at the end. */
import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { z } from 'zod'
import { Belongings } from '../app/belongings.ts'
import { createApp, migrateAtStart, type App, type Service } from '../app/index.ts'
import { invalidOption } from '../core/options.ts'
import { signToken } from '../http/auth/index.ts'
import { postgresForTests } from './postgres-server.ts'

/** What development issues tokens by and for, where the environment says nothing else. */
const DEVELOPMENT_ISSUER = 'keelson-development'

export interface TestServiceOptions {
  /** Settings and the service's own variables. Default: development defaults, a database, no Redis. */
  readonly env?: Readonly<Record<string, string>> | undefined
}

export interface TestTokenOptions {
  /** Default: `ada`. */
  readonly sub?: string | undefined
  /** Default: the same as `sub`. */
  readonly username?: string | undefined
  /** Default: none. */
  readonly scopes?: readonly string[] | undefined
}

export interface TestService extends AsyncDisposable {
  /** Ready, and not listening: `app.inject(…)` needs no port. */
  readonly app: App
  /** The lines of its log so far, parsed. */
  readonly logs: readonly Readonly<Record<string, unknown>>[]
  /** A header that the service accepts as somebody with these scopes. */
  authorization(options?: TestTokenOptions): Promise<{ readonly authorization: string }>
  /** Makes it listen on a free port of loopback. @returns its URL. */
  listen(): Promise<string>
}

/** Whoever brings one of these verifies tokens of somebody else, which cannot be made here. */
const FOREIGN_KEYS = ['JWT_SECRET', 'JWT_SECRET_FILE', 'JWT_PUBLIC_KEY', 'JWT_PUBLIC_KEY_FILE', 'JWKS_URL', 'JWKS_URL_FILE']

/**
 * Uses the Postgres of `DATABASE_URL` if that is set, else an embedded one, and applies the service's migrations.
 * @throws KeelsonError `KEELSON_CONFIG_INVALID`, and whatever keeps the service from starting; nothing is left open then.
 */
export async function testService<Schema extends z.ZodObject>(
  service: Service<Schema>,
  { env: given = {} }: TestServiceOptions = {},
): Promise<TestService> {
  const logs: Record<string, unknown>[] = []
  const belongings = new Belongings()
  try {
    const env = await withDefaults(service, given, belongings)
    const app = await createApp(service, {
      env,
      mode: 'development',
      logTo: { write: (line) => logs.push(JSON.parse(line) as Record<string, unknown>) },
    })
    belongings.add(app)
    if (service.migrations) await migrateAtStart(app, service.migrations)
    await app.ready()
    return {
      app,
      logs,
      authorization: (options) => authorize(env, options),
      async listen() {
        await app.listen({ host: '127.0.0.1', port: 0 })
        return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
      },
      [Symbol.asyncDispose]: () => belongings[Symbol.asyncDispose](),
    }
  } catch (error) {
    await belongings[Symbol.asyncDispose]().catch(() => {})
    throw error
  }
}

/** A key and, for a service with migrations, a database of its own, where none is given. */
async function withDefaults(
  service: Pick<Service, 'migrations'>,
  given: NonNullable<TestServiceOptions['env']>,
  belongings: Belongings,
): Promise<Record<string, string>> {
  const env: Record<string, string> = {}
  if (!FOREIGN_KEYS.some((name) => given[name])) env['JWT_SECRET'] = randomBytes(32).toString('base64url')
  if (service.migrations && !given['DATABASE_URL'] && !given['DATABASE_URL_FILE']) {
    const { url } = belongings.add(await postgresForTests())
    env['DATABASE_URL'] = url
  }
  return { ...env, ...given }
}

async function authorize(
  env: Readonly<Record<string, string>>,
  { sub = 'ada', username = sub, scopes = [] }: TestTokenOptions = {},
): Promise<{ readonly authorization: string }> {
  const { JWT_SECRET: secret, JWT_ISSUER: issuer = DEVELOPMENT_ISSUER, JWT_AUDIENCE: audience = DEVELOPMENT_ISSUER } = env
  if (secret === undefined)
    throw invalidOption('testService', 'env.JWT_SECRET', 'is needed to sign a token; other keys can only verify', 'none')
  return { authorization: `Bearer ${await signToken({ key: { secret }, issuer, audience, sub, username, scopes })}` }
}
