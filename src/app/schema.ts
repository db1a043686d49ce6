/** The database's schema and the code: applied at start in development, awaited in production. */
import { systemClock, type Clock } from '../core/clock.ts'
import { KeelsonError } from '../core/errors.ts'
import type { HealthCheck } from '../http/health/index.ts'
import { migrate, schemaIsCurrent, type Database } from '../postgres/index.ts'
import type { App } from './app.ts'

/** Critical: until the schema is there, every statement of this version may fail. Asks no more once it was current. */
export function schemaCheck(database: Database, folder: URL): HealthCheck {
  let current = false
  return {
    name: 'schema',
    async check(signal) {
      current ||= await schemaIsCurrent(database, { folder, signal })
      if (!current) throw new KeelsonError('KEELSON_SCHEMA_BEHIND', 'unavailable', 'migrations are pending: keelson migrate')
    },
  }
}

/** Time that a start may wait for its database before it goes on without, not ready, in milliseconds. */
const PATIENCE_MS = 3_000

/**
 * Applies pending migrations; call it before `app.ready()`. If the database isn't there, it goes on trying in the
 * background, and the app says that it is not ready.
 * @throws what is wrong with the migrations.
 */
export async function migrateAtStart(app: App, folder: URL, clock: Clock = systemClock): Promise<void> {
  const closing = new AbortController()
  const migrating = migrateWhenReachable(app.db, folder, closing.signal)
  app.addHook('onClose', async function stopMigrating() {
    closing.abort(new Error('the app is closing'))
    await migrating.catch(() => {})
  })
  const patience = Promise.withResolvers<void>()
  using _timer = clock.after(PATIENCE_MS, patience.resolve)
  await Promise.race([migrating, patience.promise])
  migrating.catch((error: unknown) => {
    if (!closing.signal.aborted) app.log.error({ err: error }, 'migrations failed')
  })
}

async function migrateWhenReachable(database: Database, folder: URL, signal: AbortSignal): Promise<void> {
  await database.whenReachable({ signal })
  await migrate(database, { folder, signal })
}
