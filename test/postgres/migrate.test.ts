import assert from 'node:assert/strict'
import { mkdtemp, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import {
  createDatabase,
  migrate,
  migrationStatus,
  schemaIsCurrent,
  type Database,
  type PostgresEvent,
} from '../../src/postgres/index.ts'
import { freshDatabase, observe, until, type FreshDatabase, type Observer } from './fixture.ts'

const USERS = 'create table users (id int primary key);\ninsert into users values (1);\n'
const EMAILS = `import { type Queryable } from ${JSON.stringify(new URL('../../src/postgres/index.ts', import.meta.url).href)}
export async function up(db: Queryable<Record<string, Record<string, unknown>>>): Promise<void> {
  await db.schema.alterTable('users').addColumn('email', 'text').execute()
  await db.updateTable('users').set({ email: 'a@example.com' }).where('id', '=', 1).execute()
}
`
const INDEX = `import { sql } from ${JSON.stringify(import.meta.resolve('kysely'))}
export const transaction = false
export async function up(db) { await sql\`create index concurrently users_email on users (email)\`.execute(db) }
`

describe('migrations', () => {
  let server: FreshDatabase
  let observer: Observer
  let db: Database
  let path: string
  let folder: URL
  const events: PostgresEvent[] = []
  const write = (file: string, text: string): Promise<void> => writeFile(join(path, file), text)
  const types = (): string[] => events.map(({ type }) => type).filter((type) => type.startsWith('migration'))

  beforeEach(async () => {
    server = await freshDatabase()
    observer = await observe(server.url)
    // A limit that no migration could live with shows that it does not apply to them.
    db = createDatabase({ url: server.url, statementTimeoutMs: 100, random: () => 0, onEvent: (event) => events.push(event) })
    path = await mkdtemp(join(tmpdir(), 'keelson migrations '))
    folder = pathToFileURL(path)
    events.length = 0
  })
  afterEach(async () => {
    await rm(path, { recursive: true })
    await db[Symbol.asyncDispose]()
    await observer[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  it('are applied in order, once, from SQL and from code', async () => {
    await write('0001-users.sql', USERS)
    await write('0002-emails.ts', EMAILS)
    await write('0003-index.js', INDEX)
    await write('0003-index.d.ts', 'export {}')
    await write('notes.md', 'no migration')
    assert.deepEqual(await migrationStatus(db, { folder }), {
      applied: [],
      pending: ['0001-users', '0002-emails', '0003-index'],
      unknown: [],
    })
    assert.equal(await schemaIsCurrent(db, { folder }), false)

    assert.deepEqual(await migrate(db, { folder }), { applied: ['0001-users', '0002-emails', '0003-index'], unknown: [] })
    assert.deepEqual(await observer.query('select * from users'), [{ id: 1, email: 'a@example.com' }])
    assert.equal((await observer.query(`select 1 from pg_indexes where indexname = 'users_email'`)).length, 1)
    assert.equal(await schemaIsCurrent(db, { folder }), true)
    assert.deepEqual(await migrate(db, { folder }), { applied: [], unknown: [] })
    assert.deepEqual((await migrationStatus(db, { folder })).pending, [])
  })

  it('may take long: the limits of requests are not theirs', async () => {
    await write('0001-slow.sql', 'select pg_sleep(0.3);')
    await migrate(db, { folder })
  })

  it('may take long between statements too: the limits of the database itself are not theirs', async () => {
    await observer.query(`do $$ begin
      execute format('alter database %I set statement_timeout = 50', current_database());
      execute format('alter database %I set idle_in_transaction_session_timeout = 50', current_database());
    end $$`)
    await write('0001-slow.sql', 'select pg_sleep(0.2);')
    await write('0002-idle.js', 'export const up = () => new Promise((resolve) => setTimeout(resolve, 200))')
    assert.deepEqual((await migrate(db, { folder })).applied, ['0001-slow', '0002-idle'])
  })

  it('leave nothing behind when they fail, and say which and why', async () => {
    await write('0001-users.sql', USERS)
    await write('0002-broken.sql', 'create table half (id int); select * from nowhere;')
    await assert.rejects(migrate(db, { folder }), {
      code: 'KEELSON_MIGRATION_FAILED',
      message: /0002-broken failed: relation "nowhere"/,
    })
    assert.deepEqual(await observer.query(`select to_regclass('half') as half`), [{ half: null }])
    assert.deepEqual((await migrationStatus(db, { folder })).applied, ['0001-users'])
    await write('0002-broken.sql', 'create table half (id int);')
    assert.deepEqual((await migrate(db, { folder })).applied, ['0002-broken'])
  })

  it('are applied once by many migrators at once, the others waiting', async () => {
    await write('0001-users.sql', `${USERS} select pg_sleep(0.3);`)
    await write('0002-index.sql', '-- transaction: false\ncreate index concurrently users_id on users (id);')
    const results = await Promise.all(Array.from({ length: 3 }, () => migrate(db, { folder })))
    assert.deepEqual(
      results.map(({ applied }) => applied.length).toSorted((a, b) => a - b),
      [0, 0, 2],
    )
    assert.equal(types().filter((type) => type === 'migration.waiting').length, 2)
  })

  it('step back from a table that is locked, and come again', async () => {
    await write('0001-users.sql', USERS)
    await migrate(db, { folder })
    await write('0002-column.sql', 'alter table users add column name text;')
    await observer.query('begin')
    await observer.query('select * from users')
    const migrating = migrate(db, { folder })
    await until(() => types().includes('migration.blocked'))
    await observer.query('commit')
    assert.deepEqual((await migrating).applied, ['0002-column'])
  })

  it('that were changed or removed after they were applied are refused', async () => {
    await write('0001-users.sql', USERS)
    await write('0002-more.sql', 'create table more (id int);')
    await migrate(db, { folder })
    await write('0001-users.sql', USERS.replaceAll('\n', '  \r\n'))
    await migrate(db, { folder })

    await write('0001-users.sql', `${USERS}-- a word more`)
    await assert.rejects(migrate(db, { folder }), { code: 'KEELSON_MIGRATION_CHANGED', message: /0001-users was changed/ })
    await assert.rejects(migrationStatus(db, { folder }), { code: 'KEELSON_MIGRATION_CHANGED' })
    assert.equal(await schemaIsCurrent(db, { folder }), true)
    await migrate(db, { folder, acceptChanges: true })
    await migrate(db, { folder })

    await unlink(join(path, '0001-users.sql'))
    await assert.rejects(migrate(db, { folder }), { code: 'KEELSON_MIGRATION_MISSING', message: /0001-users was applied/ })
  })

  it('that a newer release applied do not stop an older one', async () => {
    await write('0001-users.sql', USERS)
    await write('0002-newer.sql', 'create table newer (id int);')
    await migrate(db, { folder })
    await unlink(join(path, '0002-newer.sql'))
    assert.deepEqual(await migrate(db, { folder }), { applied: [], unknown: ['0002-newer'] })
    assert.deepEqual(await migrationStatus(db, { folder }), { applied: ['0001-users'], pending: [], unknown: ['0002-newer'] })
    assert.equal(await schemaIsCurrent(db, { folder }), true)
  })

  it('with a wrong name, a number of another or a late number are refused before anything runs', async () => {
    const refuses = async (file: string, code: string): Promise<void> => {
      await write(file, 'select 1;')
      await assert.rejects(migrate(db, { folder }), { code })
      await unlink(join(path, file))
    }
    await write('0002-users.sql', USERS)
    await refuses('3_wrong.sql', 'KEELSON_MIGRATION_INVALID')
    await refuses('0002-other.sql', 'KEELSON_MIGRATION_INVALID')
    await migrate(db, { folder })
    await refuses('0001-late.sql', 'KEELSON_MIGRATION_UNORDERED')
    await write('0003-empty.js', 'export const down = 1')
    await assert.rejects(migrate(db, { folder }), { code: 'KEELSON_MIGRATION_INVALID', message: /must export a function `up`/ })
    await assert.rejects(migrate(db, { folder: new URL('nowhere/', folder) }), { code: 'KEELSON_MIGRATION_INVALID' })
  })

  it('stop when told to, and let the next one start', async () => {
    await write('0001-slow.sql', 'create table slow (id int); select pg_sleep(30);')
    const controller = new AbortController()
    const migrating = migrate(db, { folder, signal: controller.signal })
    await until(async () => (await observer.running('pg_sleep(30)')) === 1)
    controller.abort(new Error('stop'))
    await assert.rejects(migrating, { message: 'stop' })
    await write('0001-slow.sql', 'create table slow (id int);')
    assert.deepEqual((await migrate(db, { folder })).applied, ['0001-slow'])
  })
})
