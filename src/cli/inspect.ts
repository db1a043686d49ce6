/** A service put together only to be looked at: nothing listens, nothing has to be configured. */
import { createApp, type App } from '../app/index.ts'
import { withDevelopmentKey } from './development.ts'
import type { Invocation } from './invocation.ts'

/** Stand for what a service needs in order to be built; nothing connects to them. */
const PLACEHOLDERS = { DATABASE_URL: 'postgres://localhost/nowhere', LOG_LEVEL: 'silent' }

/** What the caller has set for them is left alone: a look must not touch a real database. */
const REPLACED = new Set(['DATABASE_URL', 'REDIS_URL', 'LOG_LEVEL'].flatMap((name) => [name, `${name}_FILE`]))

/** Runs `look` on the service's app, then closes it. */
export async function inspect<T>(invocation: Invocation, look: (app: App) => T | Promise<T>): Promise<T> {
  const service = await invocation.loadService()
  const given = Object.entries(withDevelopmentKey(invocation.environment).flatten()).filter(([name]) => !REPLACED.has(name))
  const env = { ...Object.fromEntries(given), ...PLACEHOLDERS }
  const app = await createApp(service, { env, mode: 'development', watch: false })
  try {
    await app.ready()
    return await look(app)
  } finally {
    await app.close()
  }
}

/** Every scope that some operation of the API document asks for. */
export function scopesOf(document: unknown): readonly string[] {
  const { paths = {} } = document as {
    readonly paths?: Record<string, Record<string, { security?: Record<string, string[]>[] }>>
  }
  const operations = Object.values(paths).flatMap((path) => Object.values(path))
  const scopes = operations.flatMap(({ security = [] }) => security.flatMap((scheme) => Object.values(scheme).flat()))
  return [...new Set(scopes)].toSorted()
}
