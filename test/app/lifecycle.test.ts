/** What an app opens, it closes: at its end, and when it could not be put together. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { caches } from '../../src/cache/index.ts'
import { databases } from '../../src/postgres/index.ts'
import { createApp } from '../../src/index.ts'
import { destinations } from '../../src/core/log-destinations.ts'
import { redisConnections } from '../../src/redis/index.ts'
import { pipelines } from '../../src/resilience/index.ts'
import { createFaultProxy, postgresForTests, type TestPostgres } from '../../src/testing/index.ts'
import { serverOf, through } from '../postgres/fixture.ts'
import { eventually } from '../support/waiting.ts'
import { ENV, small, smallService } from './fixture.ts'

let server: TestPostgres
before(async () => {
  server = await postgresForTests()
})
after(() => server[Symbol.asyncDispose]())

/** Where nobody listens: connections are refused at once. */
const NOWHERE = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing', REDIS_URL: 'redis://127.0.0.1:1' }

const MIGRATIONS = new URL('../../examples/users/migrations/', import.meta.url)

function open(): Record<string, number> {
  const all = { caches, databases, redisConnections, pipelines, destinations }
  return Object.fromEntries(Object.entries(all).map(([name, registry]) => [name, registry.snapshots().length]))
}

test('closing disposes everything that the app opened, and closing twice is fine', async () => {
  const before = open()
  const app = await createApp(
    smallService((it) => {
      it.cache('thing', { ttlMs: 1_000 })
      it.pipeline('market', { timeoutMs: 100 })
    }),
    { env: { ...ENV, LOG_LEVEL: 'silent', DATABASE_URL: server.url, REDIS_URL: NOWHERE.REDIS_URL } },
  )
  await app.ready()
  assert.deepEqual(open(), Object.fromEntries(Object.entries(before).map(([name, count]) => [name, count + 1])))
  await app.close()
  assert.deepEqual(open(), before)
  await app.close()
})

test("the service's own onClose hooks still have database, cache and log", async () => {
  const { app, log } = await small(
    (it) => {
      const cache = it.cache<number>('thing', { ttlMs: 1_000 })
      it.addHook('onClose', async () => {
        await it.db.ping()
        it.log.info({ value: await cache.getOrLoad('a', () => 7) }, 'goodbye')
      })
    },
    { env: { DATABASE_URL: server.url } },
  )
  await app.close()
  assert.equal(log.find(({ msg }) => msg === 'goodbye')?.['value'], 7)
})

test('an onClose hook that fails keeps nothing open', async () => {
  const before = open()
  const { app } = await small(
    (it) => {
      it.cache('thing', { ttlMs: 1_000 })
      it.addHook('onClose', async () => {
        throw new Error('no goodbye')
      })
    },
    { env: { DATABASE_URL: server.url } },
  )
  await app.close().catch(() => {})
  assert.deepEqual(open(), before)
})

for (const [what, env, register] of [
  ['a service that throws', {}, () => Promise.reject(new Error('cannot'))],
  ['a key that is none', { JWT_SECRET: '', JWT_PUBLIC_KEY: 'nonsense' }, () => {}],
  ['an option that Fastify refuses', { DATABASE_URL: 'postgres://[/x?host=/tmp' }, () => {}],
] as const) {
  test(`${what} leaves nothing open`, async () => {
    const before = open()
    const service = smallService((app) => {
      app.cache('thing', { ttlMs: 1_000 })
      return register()
    })
    const working = { ...ENV, LOG_LEVEL: 'silent', DATABASE_URL: server.url, REDIS_URL: NOWHERE.REDIS_URL }
    await assert.rejects(createApp(service, { env: { ...working, ...env } }))
    assert.deepEqual(open(), before)
  })
}

test('with its database away a service starts, says that it is not ready, and is ready once the database is there', async () => {
  await using proxy = await createFaultProxy({ target: serverOf(server.url), mode: 'refuse' })
  await using service = await small((app) => void app.get('/', { auth: false }, async () => ({})), {
    env: { DATABASE_URL: through(server.url, proxy.port) },
  })
  const health = async (): Promise<number> => (await service.app.inject('/health')).statusCode
  assert.equal(await health(), 503)
  assert.deepEqual(service.app.health.state().reasons, ['database: db_unreachable'])
  assert.equal((await service.app.inject('/')).statusCode, 200)
  await proxy.set('pass')
  await eventually('readiness', async () => (await health()) === 200)
})

test('with its Redis away a service is ready, and degraded', async () => {
  await using service = await small(() => {}, { env: { REDIS_URL: NOWHERE.REDIS_URL } })
  const { ready, degraded } = service.app.health.state()
  assert.equal(ready, true)
  assert.deepEqual(degraded, ['redis: failing'])
  assert.equal((await service.app.inject('/health')).statusCode, 200)
})

test('in production a schema that is behind is not applied: the service is not ready until somebody else has', async () => {
  const { migrate, createDatabase } = await import('../../src/postgres/index.ts')
  await using own = await postgresForTests()
  await using service = await small(() => {}, { env: { DATABASE_URL: own.url }, migrations: MIGRATIONS })
  assert.deepEqual(service.app.health.state().reasons, ['schema: schema_behind'])
  await using database = createDatabase({ url: own.url, max: 1 })
  await migrate(database, { folder: MIGRATIONS })
  await eventually('readiness', () => service.app.health.state().ready)
})

test('without DATABASE_URL, app.db and request.db say what is missing', async () => {
  await using service = await small((app) => void app.get('/', { auth: false }, async (request) => request.db))
  assert.throws(() => service.app.db, {
    code: 'KEELSON_CONFIG_INVALID',
    message: /`DATABASE_URL` is needed for app\.db and request\.db/,
  })
  assert.equal((await service.app.inject('/')).statusCode, 500)
})

test('in production there are no pages and no document', async () => {
  await using production = await small()
  await using development = await small(() => {}, { mode: 'development' })
  for (const url of ['/docs', '/openapi.json']) {
    assert.equal((await production.app.inject(url)).statusCode, 404)
    assert.equal((await development.app.inject(url)).statusCode, 200)
  }
})

test('the machine shares its connections: a process takes its part of DATABASE_POOL_TOTAL', async () => {
  const env = { DATABASE_URL: server.url, DATABASE_POOL_TOTAL: '9' }
  const shareOf = async (options: { readonly processes?: number; readonly workers?: string }): Promise<number> => {
    const { workers = '1', processes } = options
    await using service = await small(() => {}, { env: { ...env, WORKERS: workers }, processes, ready: false })
    return service.app.db.snapshot().pool.max
  }
  assert.equal(await shareOf({}), 9)
  assert.equal(await shareOf({ workers: '2' }), 4)
  assert.equal(await shareOf({ processes: 3 }), 3)
  assert.equal(await shareOf({ processes: 50 }), 1)
})

test("only a trusted proxy's callers may shorten the deadline", async () => {
  const leftMs = async (env: Record<string, string>, remoteAddress: string): Promise<number> => {
    await using service = await small(
      (app) => void app.get('/', { auth: false }, async (request) => ({ leftMs: request.deadline.remainingMs })),
      { env },
    )
    const headers = { 'x-request-timeout-ms': '700', 'x-forwarded-for': '203.0.113.7' }
    const answer = await service.app.inject({ url: '/', headers, remoteAddress })
    return Math.ceil(answer.json<{ leftMs: number }>().leftMs / 1_000)
  }
  assert.equal(await leftMs({}, '10.0.0.1'), 10)
  assert.equal(await leftMs({ TRUST_PROXY: '1' }, '10.0.0.1'), 1)
  assert.equal(await leftMs({ TRUST_PROXY: '10.0.0.0/8' }, '10.0.0.1'), 1)
  assert.equal(await leftMs({ TRUST_PROXY: '10.0.0.0/8' }, '192.0.2.1'), 10)
})

test('a service that is only looked at asks nobody how they are', async () => {
  await using service = await small(() => {}, { env: NOWHERE, watch: false })
  assert.deepEqual(service.app.health.state(), { ready: true, reasons: [], degraded: [] })
  assert.equal(service.app.db.snapshot().pool.total, 0)
})
