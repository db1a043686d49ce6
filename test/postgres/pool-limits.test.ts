import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sql } from 'kysely'
import pg from 'pg'
import { createDatabase, type Queryable } from '../../src/postgres/index.ts'
import { createFaultProxy } from '../../src/testing/fault-proxy.ts'
import { freshDatabase, observe, serverOf, through, until, type FreshDatabase } from './fixture.ts'

const LONGEST_MS = 2_147_483_647

describe('the limits of a pool', () => {
  let server: FreshDatabase
  before(async () => void (server = await freshDatabase()))
  after(async () => await server[Symbol.asyncDispose]())

  it('bound the wait for a connection of a caller’s pool that others use up', async () => {
    const pool = new pg.Pool({ connectionString: server.url, max: 1 })
    {
      await using db = createDatabase({ pool, connectionTimeoutMs: 50 })
      const theirs = await pool.connect()
      await assert.rejects(db.ping(), { code: 'KEELSON_DB_POOL_TIMEOUT', kind: 'overloaded' })
      // The one that was refused still stands in the pool's queue, and holds the only place.
      await assert.rejects(db.ping(), { code: 'KEELSON_DB_POOL_TIMEOUT' })
      theirs.release()
      await until(() => pool.waitingCount === 0 && pool.idleCount === 1)
      await db.ping()
      assert.equal(pool.totalCount, 1)
    }
    await pool.end()
  })

  it('bound the opening of a connection of a caller’s pool, which itself would wait for ever', async () => {
    await using proxy = await createFaultProxy({ target: serverOf(server.url), mode: 'hang' })
    const pool = new pg.Pool({ connectionString: through(server.url, proxy.port), max: 1 })
    {
      await using db = createDatabase({ pool, connectionTimeoutMs: 800 })
      await assert.rejects(db.ping(), { code: 'KEELSON_DB_UNREACHABLE', kind: 'unavailable', retryable: true })
      proxy.killAll()
      await proxy.set('pass')
      await until(() => pool.totalCount === 0)
      await db.ping()
    }
    await pool.end()
  })

  it('keep a connection for ever if told so', async () => {
    const warnings: Error[] = []
    const hear = (warning: Error): number => warnings.push(warning)
    process.on('warning', hear)
    await using db = createDatabase({ url: server.url, max: 1, maxLifetimeMs: Infinity })
    const pids = new Set<unknown>()
    for (let i = 0; i < 10; i++) pids.add((await sql`select pg_backend_pid() as pid, pg_sleep(0.005)`.execute(db)).rows[0])
    process.off('warning', hear)
    assert.equal(new Set([...pids].map((row) => (row as { pid: number }).pid)).size, 1)
    assert.deepEqual(warnings, [])
  })

  it('are refused where a timer would overflow, and fire at once', () => {
    for (const option of [
      'maxLifetimeMs',
      'idleTimeoutMs',
      'connectionTimeoutMs',
      'queryTimeoutMs',
      'statementTimeoutMs',
      'lockTimeoutMs',
      'idleInTransactionTimeoutMs',
    ]) {
      const refusal = { code: 'KEELSON_CONFIG_INVALID', message: new RegExp(`\`${option}\` must be .* to ${LONGEST_MS}`) }
      assert.throws(() => createDatabase({ url: server.url, [option]: LONGEST_MS + 1 }), refusal)
      void createDatabase({ url: server.url, [option]: LONGEST_MS })[Symbol.asyncDispose]()
    }
  })

  it('are off when they are 0, though the database has its own', async () => {
    await using observer = await observe(server.url)
    await observer.query(`do $$ begin
      execute format('alter database %I set statement_timeout = ''3s''', current_database());
      execute format('alter database %I set lock_timeout = ''4s''', current_database());
      execute format('alter database %I set idle_in_transaction_session_timeout = ''5s''', current_database());
    end $$`)
    const off = { statementTimeoutMs: 0, lockTimeoutMs: 0, idleInTransactionTimeoutMs: 0 }
    await using db = createDatabase({ url: server.url, ...off })
    assert.deepEqual(await limitsOf(db), { statement: '0', lock: '0', idle: '0' })
    await using limited = createDatabase({ url: server.url })
    assert.deepEqual(await limitsOf(limited), { statement: '5s', lock: '2s', idle: '10s' })
  })
})

async function limitsOf(db: Queryable): Promise<unknown> {
  const { rows } = await sql`
    select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
           current_setting('idle_in_transaction_session_timeout') as idle`.execute(db)
  return rows[0]
}
