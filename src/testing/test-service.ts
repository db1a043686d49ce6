/** A service as its tests want it: on a real, empty database, with tokens at hand, its log kept, closed at the end. */
import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { z } from 'zod'
import { createApp, migrateAtStart, type App, type Service } from '../app/index.ts'
import { signToken } from '../http/auth/index.ts'
import { postgresForTests } from './postgres-server.ts'

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

/**
 * Uses the Postgres of `DATABASE_URL` if that is set, else an embedded one, and applies the service's migrations.
 * @throws KeelsonError `KEELSON_CONFIG_INVALID`, and whatever keeps the service from starting.
 */
export async function testService<Schema extends z.ZodObject>(
  service: Service<Schema>,
  { env = {} }: TestServiceOptions = {},
): Promise<TestService> {
  const secret = randomBytes(32).toString('base64url')
  const database = service.migrations && !env['DATABASE_URL'] ? await postgresForTests() : undefined
  const logs: Record<string, unknown>[] = []
  const app = await createApp(service, {
    env: { JWT_SECRET: secret, ...(database ? { DATABASE_URL: database.url } : {}), ...env },
    mode: 'development',
    logTo: { write: (line) => logs.push(JSON.parse(line) as Record<string, unknown>) },
  })
  if (service.migrations) await migrateAtStart(app, service.migrations)
  await app.ready()
  return {
    app,
    logs,
    async authorization({ sub = 'ada', username = sub, scopes = [] } = {}) {
      const issuer = env['JWT_ISSUER'] ?? 'keelson-development'
      const audience = env['JWT_AUDIENCE'] ?? 'keelson-development'
      const key = { secret: env['JWT_SECRET'] ?? secret }
      return { authorization: `Bearer ${await signToken({ key, issuer, audience, sub, username, scopes })}` }
    },
    async listen() {
      await app.listen({ host: '127.0.0.1', port: 0 })
      return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
    },
    async [Symbol.asyncDispose]() {
      await app.close()
      await database?.[Symbol.asyncDispose]()
    },
  }
}
