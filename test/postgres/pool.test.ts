import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sql } from 'kysely'
import pg from 'pg'
import { createDatabase, databases, type PostgresEvent } from '../../src/postgres/index.ts'
import { createFaultProxy } from '../../src/testing/fault-proxy.ts'
import { freshDatabase, observe, pause, serverOf, through, until, type FreshDatabase } from './fixture.ts'

interface Schema {
  notes: { id: number; text: string }
}

describe('a database', () => {
  let server: FreshDatabase
  before(async () => {
    server = await freshDatabase()
    await using observer = await observe(server.url)
    await observer.query('create table notes (id int primary key, text text not null)')
  })
  after(async () => await server[Symbol.asyncDispose]())

  it('runs typed queries, raw sql and DDL, and tells how many rows changed', async () => {
    await using db = createDatabase<Schema>({ url: server.url })
    await db
      .insertInto('notes')
      .values([
        { id: 1, text: 'a' },
        { id: 2, text: 'b' },
      ])
      .execute()
    const changed = await db.updateTable('notes').set({ text: 'c' }).where('id', '=', 1).executeTakeFirstOrThrow()
    assert.equal(changed.numUpdatedRows, 1n)
    assert.deepEqual(await db.selectFrom('notes').selectAll().orderBy('id').execute(), [
      { id: 1, text: 'c' },
      { id: 2, text: 'b' },
    ])
    const raw = await sql<{ n: number }>`select count(*)::int as n from notes`.execute(db)
    assert.equal(raw.rows[0]?.n, 2)
    assert.equal((await db.selectFrom('notes').select(db.fn.countAll<string>().as('n')).executeTakeFirstOrThrow()).n, '2')
    await db.schema.createTable('others').addColumn('id', 'integer').execute()
    const both = await db
      .with('one', (q) => q.selectFrom('notes').selectAll().where('id', '=', 1))
      .selectFrom('one')
      .selectAll()
      .execute()
    assert.equal(both.length, 1)
  })

  it('gives every session its limits and its name', async () => {
    await using db = createDatabase({ url: server.url, applicationName: 'sailor', statementTimeoutMs: 1_234 })
    const { rows } = await sql<Record<string, string>>`
      select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
             current_setting('idle_in_transaction_session_timeout') as idle, current_setting('application_name') as name`.execute(
      db,
    )
    assert.deepEqual(rows[0], { statement: '1234ms', lock: '2s', idle: '10s', name: 'sailor' })
  })

  it('survives the end of idle and of busy connections', async () => {
    const events: PostgresEvent[] = []
    await using db = createDatabase({ url: server.url, applicationName: 'victim', onEvent: (event) => events.push(event) })
    await using observer = await observe(server.url)
    const kill = `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'victim'`
    await db.ping()
    await observer.query(kill)
    await until(() => events.some(({ type }) => type === 'connection.lost'))
    await db.ping()

    const sleeping = sql`select pg_sleep(5)`.execute(db)
    sleeping.catch(() => {})
    await until(async () => (await observer.running('pg_sleep(5)')) === 1)
    await observer.query(kill)
    await assert.rejects(sleeping, { code: 'KEELSON_DB_CONNECTION_LOST', kind: 'unavailable', retryable: true })
    await db.ping()

    const inTransaction = db.transaction(async (tx) => {
      await sql`select 1`.execute(tx)
      await observer.query(kill)
      await pause(20)
      await sql`select 1`.execute(tx)
    })
    await assert.rejects(inTransaction, { code: 'KEELSON_DB_CONNECTION_LOST' })
    await db.ping()
    assert.ok(events.some((event) => event.type === 'connection.discarded' && event.reason === 'broken'))
  })

  it('refuses a caller who waits too long, and lets one go who stops waiting', async () => {
    await using db = createDatabase({ url: server.url, max: 1, connectionTimeoutMs: 100 })
    await using observer = await observe(server.url)
    const sleeping = sql`select pg_sleep(0.4)`.execute(db)
    await until(async () => (await observer.running('pg_sleep(0.4)')) === 1)
    await assert.rejects(db.ping(), { code: 'KEELSON_DB_POOL_TIMEOUT', kind: 'overloaded', retryAfterMs: 1_000 })

    const controller = new AbortController()
    const waiting = db.ping(controller.signal)
    assert.equal(db.snapshot().pool.waiting, 1)
    controller.abort(new Error('gone'))
    await assert.rejects(waiting, { message: 'gone' })
    assert.equal(db.snapshot().pool.waiting, 0)
    await sleeping
    await db.ping()
    assert.equal(db.snapshot().errors.overloaded, 1)
    assert.ok(db.snapshot().acquireWait.sumMs >= 90)
  })

  it('does not leak the connection of a caller who leaves while it is being opened', async () => {
    await using proxy = await createFaultProxy({ target: serverOf(server.url), mode: { latencyMs: 20 } })
    await using db = createDatabase({ url: through(server.url, proxy.port), max: 1 })
    for (const waitMs of [0, 10, 30, 60, 90, 130]) {
      const controller = new AbortController()
      const pinging = db.ping(controller.signal)
      setTimeout(() => controller.abort(new Error('gone')), waitMs)
      await pinging.catch(() => {})
    }
    await proxy.set('pass')
    await db.ping()
    assert.equal(db.snapshot().pool.total, 1)
  })

  it('never returns a connection inside a transaction to the pool', async () => {
    const events: PostgresEvent[] = []
    await using db = createDatabase({ url: server.url, max: 1, onEvent: (event) => events.push(event) })
    await sql`begin`.execute(db)
    const { rows } = await sql<{ n: number }>`select pg_current_xact_id_if_assigned() is null as fresh`.execute(db)
    assert.equal(rows.length, 1)
    assert.deepEqual(
      events.map((event) => event.type === 'connection.discarded' && event.reason),
      ['in_transaction'],
    )
  })

  it('gives up a server that hangs, and works again when it returns', async () => {
    await using proxy = await createFaultProxy({ target: serverOf(server.url) })
    const url = through(server.url, proxy.port)
    await using db = createDatabase({ url, queryTimeoutMs: 200, connectionTimeoutMs: 200 })
    await db.ping()
    await proxy.set('hang')
    await assert.rejects(db.ping(), { code: 'KEELSON_DB_STATEMENT_TIMEOUT', kind: 'timeout' })
    await assert.rejects(db.ping(), { code: 'KEELSON_DB_UNREACHABLE', kind: 'unavailable' })
    await proxy.set('refuse')
    await assert.rejects(db.ping(), { code: 'KEELSON_DB_UNREACHABLE' })
    await proxy.set('pass')
    await db.ping()
  })

  it('waits for a database that is not there yet, and says so once per reason', async () => {
    await using proxy = await createFaultProxy({ target: serverOf(server.url), mode: 'refuse' })
    const events: PostgresEvent[] = []
    const url = through(server.url, proxy.port).replace('@', ':s3cret@')
    await using db = createDatabase({ url, onEvent: (event) => events.push(event) })
    let said = 0
    const reached = db.whenReachable({ onWaiting: () => said++ })
    await until(() => events.length > 0)
    await pause(300)
    assert.equal(said, 1)
    await proxy.set('pass')
    await reached
    assert.deepEqual(
      events.map(({ type }) => type),
      ['database.unreachable', 'database.reached'],
    )
    const [event] = events
    assert.ok(event?.type === 'database.unreachable')
    assert.equal(event.reason, 'the database cannot be reached (ECONNREFUSED)')
    assert.equal(event.database, url.split('/').at(-1))
    assert.doesNotMatch(JSON.stringify(events), /s3cret/)

    await proxy.set('refuse')
    proxy.killAll()
    const controller = new AbortController()
    const never = db.whenReachable({ signal: controller.signal })
    controller.abort(new Error('stop'))
    await assert.rejects(never, { message: 'stop' })
  })

  it('waits no longer once it is closed', async () => {
    await using proxy = await createFaultProxy({ target: serverOf(server.url), mode: 'refuse' })
    const events: PostgresEvent[] = []
    const db = createDatabase({ url: through(server.url, proxy.port), onEvent: (event) => events.push(event) })
    const waiting = assert.rejects(db.whenReachable(), { code: 'KEELSON_DB_CLOSED' })
    await until(() => events.length > 0)
    await db[Symbol.asyncDispose]()
    await waiting
    await assert.rejects(db.whenReachable(), { code: 'KEELSON_DB_CLOSED' })
  })

  it('takes a pool of the caller, guards it, and leaves it open', async () => {
    const pool = new pg.Pool({ connectionString: server.url, max: 2, application_name: 'theirs' })
    {
      await using db = createDatabase({ pool })
      await using observer = await observe(server.url)
      const events: PostgresEvent[] = []
      assert.equal(db.snapshot().pool.max, 2)
      await db.ping()
      await observer.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'theirs'`)
      await until(() => db.snapshot().pool.total === 0)
      await db.ping()
      assert.deepEqual(events, [])
    }
    assert.equal((await pool.query('select 1 as one')).rows[0].one, 1)
    await pool.end()
    assert.throws(() => createDatabase({ pool, max: 3 }), { code: 'KEELSON_CONFIG_INVALID', message: /`max` has no effect/ })
    assert.throws(() => createDatabase({}), { code: 'KEELSON_CONFIG_INVALID' })
    assert.throws(
      () => createDatabase({ url: 'postgres://user:s3cret@host:notaport/x' }),
      (error: Error) => !error.message.includes('s3cret'),
    )
  })

  it('is listed while it is open, and refuses work afterwards', async () => {
    const db = createDatabase({ url: server.url, name: 'listed' })
    const names = (): string[] => databases.snapshots().map(({ name }) => name)
    assert.ok(names().includes('listed'))
    await db.ping()
    await db[Symbol.asyncDispose]()
    assert.ok(!names().includes('listed'))
    await assert.rejects(db.ping(), { code: 'KEELSON_DB_CLOSED' })
  })

  it('closes promptly though the server never says goodbye', async () => {
    await using proxy = await createFaultProxy({ target: serverOf(server.url) })
    const db = createDatabase({ url: through(server.url, proxy.port) })
    await db.ping()
    await proxy.set('hang')
    const startedAt = performance.now()
    await db[Symbol.asyncDispose]()
    assert.ok(performance.now() - startedAt < 2_000)
  })

  it('compares the pools of all processes with what the server allows', async () => {
    await using db = createDatabase({ url: server.url })
    assert.equal(await db.checkPoolFits({ total: 20 }), undefined)
    assert.match((await db.checkPoolFits({ total: 100_000 })) ?? '', /may open 100000 connections, but the server allows \d+/)
  })
})
