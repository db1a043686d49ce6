/** Asks the backing services how they are, from the moment the app is ready until it is closed. */
import type { FastifyInstance } from 'fastify'
import { pulseOf, type Database } from '../postgres/index.ts'
import type { Mode } from './config/index.ts'
import type { Resources } from './resources.ts'
import { schemaCheck } from './schema.ts'
import type { Service } from './service.ts'

/** How long the database may be away before the service says that it is not ready, in milliseconds. */
const DATABASE_TOLERANCE_MS = 5_000

export function watchResources(app: FastifyInstance, service: Service, mode: Mode, resources: Resources): void {
  addHealthChecks(app, service, resources)
  // Where migrations are applied at the start, they wait for the database, and tell.
  const migrates = mode === 'development' && service.migrations !== undefined
  if (resources.database && !migrates) tellWhileUnreachable(app, resources.database)
}

/** An event, once per reason, for as long as the database isn't there at the start; nothing waits for it. */
function tellWhileUnreachable(app: FastifyInstance, database: Database): void {
  const closing = new AbortController()
  app.addHook('onClose', async () => closing.abort(new Error('the app is closing')))
  app.addHook('onReady', async () => void database.whenReachable({ signal: closing.signal }).catch(() => {}))
}

function addHealthChecks(app: FastifyInstance, service: Service, { database, redis }: Resources): void {
  app.addHook('onReady', async function startHealthChecks() {
    if (database) {
      app.health.add({ name: 'database', check: pulseOf(database), toleranceMs: DATABASE_TOLERANCE_MS })
    }
    if (database && service.migrations) app.health.add(schemaCheck(database, service.migrations))
    if (redis) {
      app.health.add({ name: 'redis', critical: false, check: async (signal) => void (await redis.ping(signal)) })
    }
    await app.health.settled()
  })
}
