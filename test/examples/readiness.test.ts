/** What the probes of a running service say while what it depends on goes and comes back. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import users from '../../examples/users/service.ts'
import { postgresForTests, redisForTests } from '../../src/testing/index.ts'
import { keelson, USERS } from '../support/command.ts'
import { proxyPostgres, type PostgresProxy } from '../support/postgres-proxy.ts'
import { applyMigrations, startService, type Probe, type RunningService } from '../support/running-service.ts'
import { createUser, readUser } from '../support/users.ts'
import { eventually, timed } from '../support/waiting.ts'

/** How long the database may be away before it counts. */
const TOLERANCE_MS = 5_000

/** They wait more than they work. */
describe('readiness', { concurrency: true }, () => {
  it('is degraded, not lost, while Redis is down', async (t) => {
    await using redis = await redisForTests({ own: true })
    await using service = await startService({ env: { REDIS_URL: redis.url } })
    using client = service.client()
    const user = await createUser(client)
    assert.deepEqual(await service.probe('readyz'), { status: 200, body: { status: 'ok', reasons: [], degraded: [] } })

    await redis.kill()
    const degraded = await untilProbe(service, ({ body }) => body.status === 'degraded')
    assert.equal(degraded.status, 200)
    assert.deepEqual(degraded.body.reasons, [])
    assert.match(String(degraded.body.degraded), /^redis: /)
    assert.deepEqual(await readUser(client, user.id), user)
    assert.equal((await client.get('/health')).status, 200)

    await redis.restart()
    const [ms] = await timed(() => untilProbe(service, ({ body }) => body.status === 'ok'))
    t.diagnostic(`ok again ${ms} ms after Redis was back`)
  })

  it('ends when the database has been away for five seconds, and comes back with it', async (t) => {
    await using database = await migratedDatabase()
    await using service = await startService({ database: database.url })
    using client = service.client()
    const user = await createUser(client)
    await readUser(client, user.id)

    await database.takeDown()
    const [lostMs, lost] = await timed(() => untilProbe(service, ({ status }) => status === 503))
    assert.ok(lostMs > TOLERANCE_MS - 1_500, `a short absence is borne: ${lostMs} ms`)
    assert.match(String(lost.body.reasons), /^database: /)
    assert.equal((await service.probe('livez')).status, 200)
    assert.equal((await client.get('/health')).status, 503)
    assert.deepEqual(await readUser(client, user.id), user, 'what is cached is still served')
    const refused = await client.get('/api/users')
    assert.equal(refused.status, 503, refused.body)

    await database.bringBack()
    const [backMs] = await timed(() => untilProbe(service, ({ status }) => status === 200))
    t.diagnostic(`not ready ${lostMs} ms after the database went, ready again ${backMs} ms after it came back`)
    assert.equal((await client.get('/api/users')).status, 200)
    assertNobodyDied(service)
  })

  for (const mode of ['production', 'development'] as const) {
    it(`waits for a database that is not there at the start, in ${mode}`, async (t) => {
      await using database = await migratedDatabase()
      await database.takeDown()
      // In development the arbiter tells where it listens only when it is asked to talk.
      const env = mode === 'development' ? { LOG_LEVEL: 'debug' } : {}
      await using service = await startService({ mode, database: database.url, until: 'listening', env })
      const unready = await untilProbe(service, ({ body }) => String(body.reasons).startsWith('database: '))
      assert.equal(unready.status, 503)
      assert.equal((await service.probe('livez')).status, 200)
      await eventually('the reason in the log', () => unreachableLines(service).length > 0)
      // Long enough for several more tries.
      await sleep(2_000)
      const lines = unreachableLines(service).map(({ pid, reason }) => `${pid} ${String(reason)}`)
      assert.equal(new Set(lines).size, lines.length, `once per worker and reason: ${lines.join('; ')}`)

      await database.bringBack()
      const [ms] = await timed(() => untilProbe(service, ({ status }) => status === 200))
      t.diagnostic(`${mode}: ready ${ms} ms after the database was there`)
      assertNobodyDied(service)
    })
  }

  it('waits, in production, for the migrations that this version needs', async (t) => {
    await using database = await postgresForTests()
    await using service = await startService({ database: database.url, until: 'listening' })
    const unready = await untilProbe(service, ({ body }) => String(body.reasons).startsWith('schema: '))
    assert.equal(unready.status, 503)
    assert.deepEqual(unready.body.reasons, ['schema: schema_behind'])
    assert.equal((await service.probe('livez')).status, 200)
    const { status, stderr } = await keelson(['migrate', USERS], { env: { DATABASE_URL: database.url } })
    assert.equal(status, 0, stderr)
    const [ms] = await timed(() => untilProbe(service, ({ status: code }) => code === 200))
    t.diagnostic(`ready ${ms} ms after keelson migrate`)
    using client = service.client()
    await createUser(client)
    assertNobodyDied(service)
  })
})

async function migratedDatabase(): Promise<PostgresProxy> {
  await using undo = new AsyncDisposableStack()
  const { url } = undo.use(await postgresForTests())
  await applyMigrations(url, users.migrations!)
  const proxied = undo.use(await proxyPostgres(url))
  const all = undo.move()
  return { ...proxied, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

function untilProbe(service: RunningService, holds: (probe: Probe) => boolean): Promise<Probe> {
  return eventually(
    'the probe',
    async () => {
      const probe = await service.probe('readyz')
      return holds(probe) && probe
    },
    { limitMs: 30_000 },
  )
}

function unreachableLines(service: RunningService): ReturnType<RunningService['logs']> {
  return service.logs().filter(({ event }) => event === 'database.unreachable')
}

function assertNobodyDied(service: RunningService): void {
  assert.deepEqual(
    service.logs().filter(({ event }) => event === 'worker.exited' || event === 'worker.failing'),
    [],
  )
}
