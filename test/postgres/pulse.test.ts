import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sql } from 'kysely'
import { createApp, defineService } from '../../src/app/index.ts'
import { createDatabase, pulseOf, type Database } from '../../src/postgres/index.ts'
import { createFaultProxy } from '../../src/testing/fault-proxy.ts'
import { freshDatabase, serverOf, through, type FreshDatabase } from './fixture.ts'

const ENV = {
  JWT_SECRET: 'correct-horse-battery-staple-0123456789',
  JWT_ISSUER: 'https://issuer.example',
  JWT_AUDIENCE: 'busy',
}

describe('the pulse of a database', () => {
  let server: FreshDatabase
  before(async () => void (server = await freshDatabase()))
  after(async () => await server[Symbol.asyncDispose]())

  it('is felt in a full pool for as long as statements succeed', async () => {
    await using db = createDatabase({ url: server.url, max: 1, connectionTimeoutMs: 800 })
    const check = pulseOf(db)
    await check(AbortSignal.timeout(5_000))
    const busy = await fill(db)
    await check(AbortSignal.timeout(5_000))
    await assert.rejects(check(AbortSignal.timeout(5_000)), { code: 'KEELSON_DB_POOL_TIMEOUT' })
    await busy.work()
    await check(AbortSignal.timeout(5_000))
    await assert.rejects(check(AbortSignal.timeout(20)), { name: 'TimeoutError' })
    await busy.end()
    await check(AbortSignal.timeout(5_000))
  })

  it('is not felt when the server has gone: a ping of its own proves nothing later', async () => {
    await using proxy = await createFaultProxy({ target: serverOf(server.url) })
    await using db = createDatabase({ url: through(server.url, proxy.port) })
    const check = pulseOf(db)
    await check(AbortSignal.timeout(5_000))
    await proxy.set('refuse')
    proxy.killAll()
    await assert.rejects(check(AbortSignal.timeout(5_000)), { kind: 'unavailable' })
    await proxy.set('pass')
    await check(AbortSignal.timeout(5_000))
  })

  it('keeps a service ready whose requests hold every connection', async () => {
    const service = defineService({ name: 'busy', version: '1.0.0', register() {} })
    const env = { ...ENV, DATABASE_URL: server.url, DATABASE_POOL_TOTAL: '1' }
    const app = await createApp(service, { env, logTo: { write() {} } })
    try {
      const busy = await fill(app.db)
      await app.ready()
      assert.deepEqual(app.health.state(), { ready: true, reasons: [], degraded: [] })
      await busy.end()
    } finally {
      await app.close()
    }
  })
})

interface Busy {
  /** Runs one statement. */
  work(): Promise<unknown>
  end(): Promise<void>
}

/** Takes a connection, and has one statement answered on it. */
async function fill(db: Database): Promise<Busy> {
  const taken = Promise.withResolvers<() => Promise<unknown>>()
  const over = Promise.withResolvers<void>()
  const ended = db.transaction(async (tx) => {
    const work = async (): Promise<unknown> => await sql`select 1`.execute(tx)
    await work()
    taken.resolve(work)
    await over.promise
  })
  ended.catch(taken.reject)
  return {
    work: await taken.promise,
    async end() {
      over.resolve()
      await ended
    },
  }
}
