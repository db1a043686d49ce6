import assert from 'node:assert/strict'
import { request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import { createDatabase, type Database } from '../../src/postgres/index.ts'
import { database as databasePlugin } from '../../src/http/database/index.ts'
import { deadline } from '../../src/http/deadline/index.ts'
import { errors } from '../../src/http/errors/index.ts'
import { postgresForTests, type TestPostgres } from '../../src/testing/index.ts'
import { eventually } from '../support/waiting.ts'

let server: TestPostgres
let db: Database
before(async () => {
  server = await postgresForTests()
  db = createDatabase({ url: server.url, max: 2 })
})
after(async () => {
  await db[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

async function appWith(routes: (app: FastifyInstance) => void): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(errors)
  await app.register(deadline, { defaultMs: 5_000 })
  await app.register(databasePlugin, { database: db })
  routes(app)
  return app
}

/** Statements of this database that contain `mark`, besides the one that asks. */
async function running(mark: string): Promise<number> {
  const found = await sql<{ n: string }>`
    select count(*) as n from pg_stat_activity
    where datname = current_database() and state = 'active' and pid <> pg_backend_pid() and query like ${`%${mark}%`}`.execute(db)
  return Number(found.rows[0]?.n)
}

test('app.db is the database, and request.db the same within the deadline of the request', async () => {
  await using app = await appWith((it) => {
    it.get('/', async (request) => {
      assert.equal(request.db, request.db)
      const { rows } = await sql<{ one: number }>`select 1 as one`.execute(request.db)
      return rows[0]
    })
  })
  assert.equal(app.db, db)
  assert.deepEqual((await app.inject('/')).json(), { one: 1 })
})

test('two requests have each their own, and none holds a connection between statements', async () => {
  const seen = new Set<unknown>()
  await using app = await appWith((it) => {
    it.get('/', async (request) => {
      seen.add(request.db)
      await sql`select 1`.execute(request.db)
      return db.snapshot().pool
    })
  })
  // More requests than connections, each between two statements.
  await Promise.all(Array.from({ length: 6 }, () => app.inject('/')))
  assert.equal(seen.size, 6)
  const { idle, total } = db.snapshot().pool
  assert.equal(idle, total)
})

test('past the deadline a running statement is cancelled, the answer is 504 and the connection can be used again', async () => {
  await using app = await appWith((it) => {
    it.get('/slow', { deadlineMs: 150 }, async (request) => {
      await sql`select pg_sleep(30) /* deadline */`.execute(request.db)
      return {}
    })
  })
  const answer = await app.inject('/slow')
  assert.equal(answer.statusCode, 504)
  assert.equal(await eventually('the end of the statement', async () => (await running('deadline')) === 0), true)
  assert.equal((await sql<{ one: number }>`select 1 as one`.execute(db)).rows[0]?.one, 1)
})

test('a client that leaves takes its statement along', async () => {
  await using app = await appWith((it) => {
    it.get('/slow', async (request) => {
      await sql`select pg_sleep(30) /* leaving */`.execute(request.db)
      return {}
    })
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const sent = httpRequest({ host: '127.0.0.1', port: (app.server.address() as AddressInfo).port, path: '/slow' })
  sent.on('error', () => {})
  sent.end()
  await eventually('the statement', async () => (await running('leaving')) === 1)
  sent.destroy()
  await eventually('its end', async () => (await running('leaving')) === 0)
})

test('work for nobody in particular is not ended by a request', async () => {
  const work: Promise<unknown>[] = []
  await using app = await appWith((it) => {
    it.get('/', { deadlineMs: 50 }, async () => {
      work.push(sql`select pg_sleep(0.3)`.execute(it.db))
      await work[0]
    })
  })
  assert.equal((await app.inject('/')).statusCode, 504)
  await work[0]
})

test('closing the app leaves the database open: its owner disposes it', async () => {
  const app = await appWith(() => {})
  await app.close()
  await db.ping()
})

test('without a database, or without deadlines, the app does not start', async () => {
  await using none = Fastify()
  await none.register(deadline)
  for (const wrong of [{}, { database: undefined }, { database: { url: server.url } }]) {
    await assert.rejects(async () => none.register(databasePlugin, wrong as never), {
      code: 'KEELSON_CONFIG_INVALID',
      message: /^database: `database` must come from createDatabase\(\)/,
    })
  }
  await using timeless = Fastify()
  await assert.rejects(async () => timeless.register(databasePlugin, { database: db }), {
    code: 'KEELSON_CONFIG_INVALID',
    message: /^database: `deadline` must be registered before it/,
  })
})
