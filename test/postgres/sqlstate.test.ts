import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sql, type RawBuilder } from 'kysely'
import { isKeelsonError } from '../../src/core/errors.ts'
import { createDatabase, isUniqueViolation, toDatabaseError, type Database } from '../../src/postgres/index.ts'
import { freshDatabase, observe, type FreshDatabase } from './fixture.ts'

const SECRET = 'tops3cret'

describe('an error of the database', () => {
  let server: FreshDatabase
  let db: Database
  before(async () => {
    server = await freshDatabase()
    await using observer = await observe(server.url)
    await observer.query(`create table people (
      id int primary key, email varchar(20) not null constraint people_email_key unique,
      age int constraint age_check check (age > 0), boss int constraint boss_fk references people)`)
    await observer.query(`insert into people values (1, '${SECRET}', 1, null)`)
    db = createDatabase({ url: server.url, lockTimeoutMs: 50, statementTimeoutMs: 200 })
  })
  after(async () => {
    await db[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  const cases: [what: string, statement: RawBuilder<unknown>, expected: Record<string, unknown>][] = [
    [
      'a unique key',
      sql`insert into people values (2, ${SECRET})`,
      { code: 'KEELSON_DB_UNIQUE', kind: 'conflict', constraint: 'people_email_key' },
    ],
    [
      'a foreign key',
      sql`insert into people values (3, 'a', 1, 99)`,
      { code: 'KEELSON_DB_FOREIGN_KEY', kind: 'invalid', constraint: 'boss_fk' },
    ],
    [
      'a missing value',
      sql`insert into people values (3, null)`,
      { code: 'KEELSON_DB_INVALID_VALUE', kind: 'invalid', sqlstate: '23502' },
    ],
    [
      'a check',
      sql`insert into people values (3, 'a', -1)`,
      { code: 'KEELSON_DB_CHECK', kind: 'invalid', constraint: 'age_check' },
    ],
    ['a text too long', sql`insert into people values (3, ${SECRET.repeat(9)})`, { kind: 'invalid', sqlstate: '22001' }],
    ['a number too big', sql`select ${'99999999999'}::int`, { kind: 'invalid', sqlstate: '22003' }],
    ['a NUL', sql`select ${`${SECRET}\0`}::text`, { kind: 'invalid', sqlstate: '22021' }],
    ['a NUL in JSON', sql`select ${'{"a":"\\u0000"}'}::jsonb ->> 'a'`, { kind: 'invalid', sqlstate: '22P05' }],
    ['no number', sql`select ${SECRET}::int`, { kind: 'invalid', sqlstate: '22P02' }],
    ['a division by zero, which is the code’s fault', sql`select 1/0`, { kind: 'internal', sqlstate: '22012' }],
    ['wrong SQL', sql`selekt`, { code: 'KEELSON_DB_ERROR', kind: 'internal', sqlstate: '42601' }],
    ['a slow statement', sql`select pg_sleep(2)`, { code: 'KEELSON_DB_STATEMENT_TIMEOUT', kind: 'timeout', retryable: true }],
  ]
  for (const [what, statement, expected] of cases) {
    it(`tells ${what} without a value in it`, async () => {
      const error = await statement.execute(db).then(
        () => assert.fail('should have failed'),
        (caught: unknown) => caught,
      )
      assert.ok(isKeelsonError(error))
      const { code, kind, retryable, details, message } = error
      const told: Record<string, unknown> = { code, kind, retryable, ...details }
      for (const [key, value] of Object.entries(expected)) assert.equal(told[key], value, key)
      assert.doesNotMatch(message + JSON.stringify(details), new RegExp(SECRET))
      assert.ok(error.cause instanceof Error)
    })
  }

  it('tells a lock that is taken', async () => {
    await db.transaction(async (tx) => {
      await sql`select * from people for update`.execute(tx)
      await assert.rejects(async () => await sql`update people set age = 5`.execute(db), {
        code: 'KEELSON_DB_LOCK_TIMEOUT',
        kind: 'overloaded',
      })
    })
  })

  it('keeps the pooled connection unless the session is in doubt', async () => {
    await using one = createDatabase({ url: server.url, max: 1 })
    for (let i = 0; i < 3; i++) await assert.rejects(async () => await sql`select 1/0`.execute(one))
    const pid = async (): Promise<unknown> =>
      (await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(one)).rows[0]?.pid
    const before = await pid()
    await assert.rejects(async () => await sql`select 1/0`.execute(one))
    assert.equal(await pid(), before)
  })

  it('is recognised by constraint', async () => {
    const duplicate = sql`insert into people values (2, ${SECRET})`.execute(db)
    await assert.rejects(duplicate, (error) => {
      assert.ok(isUniqueViolation(error))
      assert.ok(isUniqueViolation(error, 'people_email_key'))
      assert.ok(!isUniqueViolation(error, 'people_pkey'))
      return true
    })
    assert.ok(!isUniqueViolation(new Error('duplicate key')))
  })

  it('tells a wrong password and a database that is not there, without the URL', async () => {
    const url = new URL(server.url)
    url.pathname = '/no_such_database'
    await using nowhere = createDatabase({ url: url.href })
    await assert.rejects(nowhere.ping(), { code: 'KEELSON_DB_ACCESS_DENIED', kind: 'unavailable', retryable: false })
  })

  it('is classified by SQLSTATE class or by the driver’s words where no server is needed', () => {
    const server = (code: string): Error => Object.assign(new Error('words'), { code, severity: 'ERROR' })
    const kinds = {
      '40001': 'overloaded',
      '40P01': 'overloaded',
      '53300': 'overloaded',
      '53100': 'overloaded',
      '57P01': 'unavailable',
      '57P03': 'unavailable',
      '08006': 'unavailable',
      '25006': 'unavailable',
      '25P03': 'timeout',
      '99999': 'internal',
    }
    for (const [code, kind] of Object.entries(kinds)) assert.equal(toDatabaseError(server(code)).kind, kind, code)
    const words = {
      'timeout exceeded when trying to connect': 'KEELSON_DB_POOL_TIMEOUT',
      'Connection terminated due to connection timeout': 'KEELSON_DB_UNREACHABLE',
      'Connection terminated unexpectedly': 'KEELSON_DB_CONNECTION_LOST',
      'Client has encountered a connection error and is not queryable': 'KEELSON_DB_CONNECTION_LOST',
      'Query read timeout': 'KEELSON_DB_STATEMENT_TIMEOUT',
      'The server does not support SSL connections': 'KEELSON_DB_UNREACHABLE',
    }
    for (const [message, code] of Object.entries(words)) assert.equal(toDatabaseError(new Error(message)).code, code, message)
    assert.equal(toDatabaseError(Object.assign(new Error('x'), { code: 'ENOENT' })).code, 'KEELSON_DB_UNREACHABLE')
    assert.equal(
      toDatabaseError(new AggregateError([Object.assign(new Error('x'), { code: 'ECONNREFUSED' })])).code,
      'KEELSON_DB_UNREACHABLE',
    )
  })
})
