import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { migrateAtStart } from '../../src/app/index.ts'
import { createFaultProxy, ManualClock, postgresForTests, type TestPostgres } from '../../src/testing/index.ts'
import { serverOf, through } from '../postgres/fixture.ts'
import { eventually } from '../support/waiting.ts'
import { small, type Small } from './fixture.ts'

let server: TestPostgres
let folder: string
before(async () => {
  server = await postgresForTests()
  folder = mkdtempSync(join(tmpdir(), 'keelson schema '))
})
after(async () => {
  rmSync(folder, { recursive: true })
  await server[Symbol.asyncDispose]()
})

function migrationsOf(sql: string): URL {
  const own = mkdtempSync(join(folder, 'm'))
  writeFileSync(join(own, '0001-first.sql'), sql)
  return pathToFileURL(`${own}/`)
}

function development(migrations: URL, url: string): Promise<Small> {
  return small(() => {}, { env: { DATABASE_URL: url }, migrations, mode: 'development', ready: false })
}

test('what is wrong with the migrations keeps the service from starting', async () => {
  const migrations = migrationsOf('create tabel nonsense;')
  await using service = await development(migrations, server.url)
  await assert.rejects(migrateAtStart(service.app, migrations), { code: 'KEELSON_MIGRATION_FAILED' })
})

test('a database that is away is waited for a little; then the service starts, and is ready when it was migrated', async () => {
  const migrations = migrationsOf('create table schema_late (id int);')
  await using proxy = await createFaultProxy({ target: serverOf(server.url), mode: 'refuse' })
  await using service = await development(migrations, through(server.url, proxy.port))
  const clock = new ManualClock()
  const starting = migrateAtStart(service.app, migrations, clock)
  await clock.advance(3_000)
  await starting
  assert.equal(clock.pendingTimers, 0)
  await service.app.ready()
  assert.equal(service.app.health.state().ready, false)
  await proxy.set('pass')
  await eventually('readiness', () => service.app.health.state().ready)
})

test('closing ends the waiting, and says nothing of it', async () => {
  const migrations = migrationsOf('create table schema_never (id int);')
  const service = await development(migrations, 'postgres://nobody@127.0.0.1:1/nothing')
  const clock = new ManualClock()
  const starting = migrateAtStart(service.app, migrations, clock)
  await clock.advance(3_000)
  await starting
  await service.app.close()
  assert.deepEqual(
    service.log.filter(({ msg }) => msg === 'migrations failed'),
    [],
  )
})

test('migrations that fail after the service has started are told in the log', async () => {
  const migrations = migrationsOf('create tabel late_nonsense;')
  await using own = await postgresForTests()
  await using proxy = await createFaultProxy({ target: serverOf(own.url), mode: 'refuse' })
  await using service = await development(migrations, through(own.url, proxy.port))
  const clock = new ManualClock()
  const starting = migrateAtStart(service.app, migrations, clock)
  await clock.advance(3_000)
  await starting
  await proxy.set('pass')
  const line = await eventually('the line', () => service.log.find(({ msg }) => msg === 'migrations failed'))
  assert.equal((line['err'] as { code: string }).code, 'KEELSON_MIGRATION_FAILED')
})
