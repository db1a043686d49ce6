import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { sql } from 'kysely'
import { z } from 'zod'
import { defineService, type App, type Service } from '../../src/index.ts'
import { databases } from '../../src/postgres/index.ts'
import { postgresForTests, testService } from '../../src/testing/index.ts'

let folder: string
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'keelson test service '))
  writeFileSync(join(folder, '0001-notes.sql'), 'create table notes (text text not null);')
})
after(() => rmSync(folder, { recursive: true }))

function routes(app: App): void {
  app.get('/hello', { auth: 'any' }, async ({ principal }) => ({ hello: principal?.username }))
  app.get('/admin', { auth: { scopes: ['admin', 'read'] } }, async () => ({}))
}

function notes(register: Service['register'] = routes): Service {
  return defineService({ name: 'notes', migrations: pathToFileURL(`${folder}/`), register })
}

async function countNotes(app: App): Promise<number> {
  const { rows } = await sql<{ n: string }>`select count(*) as n from notes`.execute(app.db)
  return Number(rows[0]?.n)
}

test('it is ready, migrated, and in a database of its own', async () => {
  await using one = await testService(notes())
  await using two = await testService(notes())
  await sql`insert into notes values ('here')`.execute(one.app.db)
  assert.equal(await countNotes(one.app), 1)
  assert.equal(await countNotes(two.app), 0)
  assert.equal((await one.app.inject('/health')).statusCode, 200)
})

test('its tokens are accepted, with the scopes and the name that were asked for', async () => {
  await using service = await testService(defineService({ name: 'plain', register: routes }))
  const status = async (url: string, headers?: { readonly authorization: string }): Promise<number> =>
    (await service.app.inject({ url, headers: headers ?? {} })).statusCode
  assert.equal(await status('/hello'), 401)
  assert.equal(await status('/admin', await service.authorization()), 403)
  assert.equal(await status('/admin', await service.authorization({ scopes: ['admin', 'read'] })), 200)
  const asked = { url: '/hello', headers: await service.authorization({ sub: 'u-1', username: 'grace' }) }
  assert.deepEqual((await service.app.inject(asked)).json(), { hello: 'grace' })
  const unnamed = { url: '/hello', headers: await service.authorization() }
  assert.deepEqual((await service.app.inject(unnamed)).json(), { hello: 'ada' })
})

test('tokens follow the environment: another issuer, audience and secret', async () => {
  const env = { JWT_SECRET: 'another secret of thirty-two bytes or more', JWT_ISSUER: 'us', JWT_AUDIENCE: 'them' }
  await using service = await testService(defineService({ name: 'plain', register: routes }), { env })
  const answer = await service.app.inject({ url: '/hello', headers: await service.authorization() })
  assert.equal(answer.statusCode, 200)
})

test("with somebody else's key it starts, and says why it cannot make tokens", async () => {
  const env = { JWKS_URL: 'https://issuer.example/jwks.json' }
  await using service = await testService(defineService({ name: 'plain', register: routes }), { env })
  await assert.rejects(service.authorization(), {
    code: 'KEELSON_CONFIG_INVALID',
    message: /^testService: `env\.JWT_SECRET` is needed to sign a token/,
  })
})

test("the service's own variables are given with its settings", async () => {
  const service = defineService({
    name: 'plain',
    env: z.object({ GREETING: z.string() }),
    register(app, { env }) {
      app.get('/', { auth: false }, async () => ({ greeting: env.GREETING }))
    },
  })
  await using polite = await testService(service, { env: { GREETING: 'hello' } })
  assert.deepEqual((await polite.app.inject('/')).json(), { greeting: 'hello' })
  await assert.rejects(testService(service), { code: 'KEELSON_CONFIG_INVALID', message: /GREETING is required/ })
})

test('its log is kept, line by line', async () => {
  await using service = await testService(defineService({ name: 'plain', register: routes }))
  await service.app.inject('/hello')
  const lines = service.logs.filter(({ msg }) => msg === 'request')
  assert.deepEqual(
    lines.map(({ route, status }) => [route, status]),
    [['/hello', 401]],
  )
})

test('it listens on a free port of loopback when asked to', async () => {
  await using service = await testService(defineService({ name: 'plain', register: routes }))
  const url = await service.listen()
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
  const answer = await fetch(`${url}/health`, { headers: { connection: 'close' } })
  assert.equal(answer.status, 200)
})

test('a database that was given is used, and stays', async () => {
  await using server = await postgresForTests()
  const service = await testService(notes(), { env: { DATABASE_URL: server.url } })
  await sql`insert into notes values ('kept')`.execute(service.app.db)
  await service[Symbol.asyncDispose]()
  await using again = await testService(notes(), { env: { DATABASE_URL: server.url } })
  assert.equal(await countNotes(again.app), 1)
})

test('what cannot start leaves nothing open', async () => {
  const open = databases.snapshots().length
  const throwing = notes(() => Promise.reject(new Error('cannot')))
  await assert.rejects(testService(throwing), /cannot/)
  const undeclared = notes((app) => void app.get('/', async () => ({})))
  await assert.rejects(testService(undeclared), { code: 'KEELSON_POLICY_MISSING' })
  writeFileSync(join(folder, '0002-broken.sql'), 'create tabel nonsense;')
  await assert.rejects(testService(notes()), { code: 'KEELSON_MIGRATION_FAILED' })
  rmSync(join(folder, '0002-broken.sql'))
  assert.equal(databases.snapshots().length, open)
})
