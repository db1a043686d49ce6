import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sql } from 'kysely'
import {
  createDatabase,
  type Database,
  type PostgresEvent,
  type Queryable,
  type ScopedDatabase,
  type Transaction,
} from '../../src/postgres/index.ts'
import { createFaultProxy } from '../../src/testing/fault-proxy.ts'
import { freshDatabase, observe, pause, scopeOf, serverOf, through, until, type FreshDatabase, type Observer } from './fixture.ts'

interface Schema {
  counters: { id: number; n: number }
  pairs: { id: number; other: number }
}

describe('a transaction', () => {
  let server: FreshDatabase
  let observer: Observer
  let db: Database<Schema>
  const events: PostgresEvent[] = []
  before(async () => {
    server = await freshDatabase()
    observer = await observe(server.url)
    await observer.query('create table counters (id int primary key, n int not null)')
    await observer.query('create table pairs (id int primary key, other int references counters deferrable initially deferred)')
    await observer.query('insert into counters values (1, 0), (2, 0)')
    db = createDatabase<Schema>({ url: server.url, connectionTimeoutMs: 5_000, onEvent: (event) => events.push(event) })
  })
  after(async () => {
    await db[Symbol.asyncDispose]()
    await observer[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  const add = (to: Queryable<Schema>, id: number, by = 1): Promise<unknown> =>
    to
      .updateTable('counters')
      .set({ n: sql`n + ${by}` })
      .where('id', '=', id)
      .execute()
  const value = async (id: number): Promise<number> =>
    (await db.selectFrom('counters').select('n').where('id', '=', id).executeTakeFirstOrThrow()).n

  it('commits what its closure did, and returns what it returned', async () => {
    const before = await value(1)
    assert.equal(await db.transaction(async (tx) => (await add(tx, 1), 'done')), 'done')
    assert.equal(await value(1), before + 1)
  })

  it('rolls back when its closure throws, and throws the same', async () => {
    const before = await value(1)
    const mine = new Error('mine')
    await assert.rejects(
      db.transaction(async (tx) => (await add(tx, 1), Promise.reject(mine))),
      (error) => error === mine,
    )
    assert.equal(await value(1), before)
  })

  it('takes its level and mode', async () => {
    const settings = await db.transaction(
      async (tx) =>
        await sql`select current_setting('transaction_isolation') as level, current_setting('transaction_read_only') as ro`.execute(
          tx,
        ),
      { isolationLevel: 'repeatable read', readOnly: true },
    )
    assert.deepEqual(settings.rows, [{ level: 'repeatable read', ro: 'on' }])
    await assert.rejects(
      db.transaction(async () => {}, { isolationLevel: 'chaos' as never }),
      { code: 'KEELSON_CONFIG_INVALID' },
    )
  })

  it('loses no increment of 20 serializable transactions at once', async () => {
    const before = await value(1)
    const increment = async (tx: Queryable<Schema>): Promise<void> => {
      const { n } = await tx.selectFrom('counters').select('n').where('id', '=', 1).executeTakeFirstOrThrow()
      await tx
        .updateTable('counters')
        .set({ n: n + 1 })
        .where('id', '=', 1)
        .execute()
    }
    const options = { isolationLevel: 'serializable', retries: 100, maxDelayMs: 40 } as const
    await Promise.all(Array.from({ length: 20 }, () => db.transaction(increment, options)))
    assert.equal(await value(1), before + 20)
    assert.ok(db.snapshot().transactionRetries > 0)
    assert.ok(events.some((event) => event.type === 'transaction.retried' && event.sqlstate === '40001'))
  })

  it('runs again after a deadlock', async () => {
    const [one, two] = [await value(1), await value(2)]
    const crossing = (first: number, second: number): Promise<unknown> =>
      db.transaction(async (tx) => {
        await add(tx, first)
        await pause(50)
        await add(tx, second)
      })
    await Promise.all([crossing(1, 2), crossing(2, 1)])
    assert.deepEqual([await value(1), await value(2)], [one + 2, two + 2])
    assert.ok(events.some((event) => event.type === 'transaction.retried' && event.sqlstate === '40P01'))
  })

  it('runs again as often as it is told, even when the closure hid what happened, and then throws', async () => {
    let runs = 0
    const hiding = db.transaction(
      async (tx) => {
        runs++
        await sql`do $$ begin raise exception 'again' using errcode = '40001'; end $$`.execute(tx).catch(() => {})
      },
      { retries: 2, baseDelayMs: 0 },
    )
    await assert.rejects(hiding, { code: 'KEELSON_DB_SERIALIZATION', kind: 'overloaded', retryable: true })
    assert.equal(runs, 3)
  })

  it('runs again when COMMIT itself reports a serialization failure', async () => {
    await observer.query(`create function refuse_once() returns trigger language plpgsql as $$ begin
      if nextval('tries') = 1 then raise exception 'at commit' using errcode = '40001'; end if; return null; end $$`)
    await observer.query('create sequence tries')
    await observer.query(`create constraint trigger at_commit after insert on pairs deferrable initially deferred
      for each row execute function refuse_once()`)
    let runs = 0
    await db.transaction(async (tx) => {
      runs++
      await tx.insertInto('pairs').values({ id: 1, other: 1 }).execute()
    })
    assert.equal(runs, 2)
  })

  it('does not start a retry that its scope has no time for', async () => {
    const scoped = db.within({ signal: new AbortController().signal, remainingMs: 0 })
    let runs = 0
    const failing = scoped.transaction(
      async (tx) => (runs++, await sql`do $$ begin raise exception 'x' using errcode = '40001'; end $$`.execute(tx)),
    )
    await assert.rejects(failing, { code: 'KEELSON_DB_SERIALIZATION' })
    assert.equal(runs, 1)
  })

  it('does not pretend to have committed when a failed statement was swallowed', async () => {
    const before = await value(1)
    const swallowing = db.transaction(async (tx) => {
      await add(tx, 1)
      await sql`select 1/0`.execute(tx).catch(() => {})
    })
    await assert.rejects(swallowing, { code: 'KEELSON_DB_ERROR', details: { sqlstate: '22012' } })
    assert.equal(await value(1), before)
  })

  it('reports a constraint that fails at COMMIT', async () => {
    const dangling = db.transaction(async (tx) => await tx.insertInto('pairs').values({ id: 2, other: 999 }).execute())
    await assert.rejects(dangling, { code: 'KEELSON_DB_FOREIGN_KEY', kind: 'invalid' })
  })

  it('waits for statements that the closure did not await', async () => {
    const before = await value(1)
    await db.transaction(async (tx) => void add(tx, 1))
    assert.equal(await value(1), before + 1)
  })

  it('rolls back behind a statement that its closure left running', async () => {
    const warnings: Error[] = []
    const hear = (warning: Error): number => warnings.push(warning)
    process.on('warning', hear)
    await using one = createDatabase<Schema>({ url: server.url, max: 1 })
    const before = await value(1)
    const leaving = one.transaction(async (tx) => {
      const left = [add(tx, 1), sql`select pg_sleep(0.1)`.execute(tx), add(tx, 1)]
      const outcomes = Promise.allSettled(left)
      await left[0]
      setTimeout(() => void outcomes.then((all) => (statuses = all.map(({ status }) => status))))
      throw new Error('mine')
    })
    let statuses: string[] = []
    await assert.rejects(leaving, { message: 'mine' })
    await until(() => statuses.length > 0)
    assert.deepEqual(statuses, ['fulfilled', 'fulfilled', 'rejected'])
    assert.equal(await value(1), before)
    assert.equal(one.snapshot().pool.total, 1)
    process.off('warning', hear)
    assert.deepEqual(warnings, [])
  })

  it('ends with its closure, and does not nest', async () => {
    let escaped: Transaction<Schema> | undefined
    await db.transaction(async (tx) => void (escaped = tx))
    await assert.rejects(async () => await add(escaped!, 1), { code: 'KEELSON_TRANSACTION_OVER' })
    assert.throws(() => escaped!.afterCommit(() => {}), { code: 'KEELSON_TRANSACTION_OVER' })
    const nesting = db.transaction(async (tx) => await (tx as unknown as ScopedDatabase).transaction(async () => {}))
    await assert.rejects(nesting, { code: 'KEELSON_TRANSACTION_NESTED' })
  })

  it('runs its hooks after the commit, before it resolves, and only then', async () => {
    const seen: string[] = []
    await db.transaction(async (tx) => {
      tx.afterCommit(async () => void seen.push(`committed ${await value(2)}`))
      tx.afterCommit(() => Promise.reject(new Error('hook')))
      tx.afterCommit(() => void seen.push('last'))
      await tx.updateTable('counters').set({ n: 77 }).where('id', '=', 2).execute()
      seen.push('closure')
    })
    assert.deepEqual(seen, ['closure', 'committed 77', 'last'])
    assert.equal(events.filter(({ type }) => type === 'hook.failed').length, 1)
    await assert.rejects(
      db.transaction(async (tx) => (tx.afterCommit(() => void seen.push('never')), Promise.reject(new Error('no')))),
    )
    assert.ok(!seen.includes('never'))
  })

  it('forgets the hooks of a try that did not commit', async () => {
    let [runs, hooks] = [0, 0]
    await db.transaction(async (tx) => {
      tx.afterCommit(() => void hooks++)
      if (runs++ === 0) await sql`do $$ begin raise exception 'x' using errcode = '40001'; end $$`.execute(tx)
    })
    assert.deepEqual([runs, hooks], [2, 1])
  })

  it('says that it does not know when the answer to COMMIT is lost, and never repeats', async () => {
    await using proxy = await createFaultProxy({ target: serverOf(server.url) })
    await using far = createDatabase<Schema>({ url: through(server.url, proxy.port), onEvent: (event) => events.push(event) })
    const before = await value(1)
    let runs = 0
    const lost = far.transaction(async (tx) => {
      runs++
      await add(tx, 1)
      await proxy.set('drop-reply')
    })
    lost.catch(() => {})
    await until(async () => (await value(1)) === before + 1)
    proxy.killAll()
    await assert.rejects(lost, { code: 'KEELSON_COMMIT_UNKNOWN', kind: 'unavailable', retryable: false })
    assert.equal(runs, 1)
    assert.equal(events.filter(({ type }) => type === 'commit.unknown').length, 1)
    await proxy.set('pass')
    await far.ping()
  })

  it('never repeats either when a failure before that COMMIT was taken back to a savepoint', async () => {
    await using proxy = await createFaultProxy({ target: serverOf(server.url) })
    await using far = createDatabase<Schema>({ url: through(server.url, proxy.port) })
    const before = await value(1)
    let runs = 0
    const lost = far.transaction(async (tx) => {
      runs++
      await add(tx, 1)
      await sql`savepoint s`.execute(tx)
      await sql`do $$ begin raise exception 'deadlock' using errcode = '40P01'; end $$`.execute(tx).catch(() => {})
      await sql`rollback to savepoint s`.execute(tx)
      if (runs === 1) await proxy.set('drop-reply')
    })
    lost.catch(() => {})
    await until(async () => (await value(1)) === before + 1)
    await proxy.set('pass')
    proxy.killAll()
    await assert.rejects(lost, { code: 'KEELSON_COMMIT_UNKNOWN' })
    assert.deepEqual([runs, await value(1)], [1, before + 1])
  })

  it('runs the hooks that are to run even if the outcome is unknown, before it says so', async () => {
    await using proxy = await createFaultProxy({ target: serverOf(server.url) })
    await using far = createDatabase<Schema>({ url: through(server.url, proxy.port) })
    const before = await value(1)
    const seen: string[] = []
    const lost = far.transaction(async (tx) => {
      tx.afterCommit(() => void seen.push('committed'))
      tx.afterCommit(async () => void seen.push(`forget ${await value(1)}`), { evenIfUnknown: true })
      await add(tx, 1)
      await proxy.set('drop-reply')
    })
    const answered = lost.catch((error: { code: string }) => void seen.push(error.code))
    await until(async () => (await value(1)) === before + 1)
    proxy.killAll()
    await answered
    assert.deepEqual(seen, [`forget ${before + 1}`, 'KEELSON_COMMIT_UNKNOWN'])
  })

  it('runs those hooks also when its caller has left before the connection is lost', async () => {
    await using proxy = await createFaultProxy({ target: serverOf(server.url) })
    await using far = createDatabase<Schema>({ url: through(server.url, proxy.port) })
    const controller = new AbortController()
    const seen: string[] = []
    const cut = far.within(scopeOf(controller)).transaction(async (tx) => {
      tx.afterCommit(() => void seen.push('committed'))
      tx.afterCommit(() => void seen.push('forget'), { evenIfUnknown: true })
      await add(tx, 1)
      await proxy.set('drop-reply')
      setTimeout(() => controller.abort(new Error('gone')), 5)
    })
    await assert.rejects(cut, { code: 'KEELSON_COMMIT_UNKNOWN' })
    assert.deepEqual(seen, [])
    proxy.killAll()
    await until(() => seen.length > 0)
    assert.deepEqual(seen, ['forget'])
  })

  it('runs no hook when it is known that nothing was committed', async () => {
    let hooks = 0
    const forget = (tx: Transaction<Schema>): void => tx.afterCommit(() => void hooks++, { evenIfUnknown: true })
    const refusedAtCommit = db.transaction(async (tx) => {
      forget(tx)
      await tx.insertInto('pairs').values({ id: 3, other: 999 }).execute()
    })
    await assert.rejects(refusedAtCommit, { code: 'KEELSON_DB_FOREIGN_KEY' })
    await assert.rejects(db.transaction(async (tx) => (forget(tx), Promise.reject(new Error('no')))))
    assert.equal(hooks, 0)
  })

  it('learns the outcome of a COMMIT that is under way when the scope ends, or admits that it did not', async () => {
    await using proxy = await createFaultProxy({ target: serverOf(server.url) })
    await using far = createDatabase<Schema>({ url: through(server.url, proxy.port) })
    await far.ping()
    for (const [latencyMs, committed] of [
      [20, true],
      [150, false],
    ] as const) {
      const controller = new AbortController()
      let hooks = 0
      const cut = far.within(scopeOf(controller)).transaction(async (tx) => {
        tx.afterCommit(() => void hooks++)
        await add(tx, 1)
        await proxy.set({ latencyMs })
        setTimeout(() => controller.abort(new Error('gone')), 5)
        return 'done'
      })
      if (committed) assert.equal(await cut, 'done')
      else await assert.rejects(cut, { code: 'KEELSON_COMMIT_UNKNOWN', retryable: false })
      await proxy.set('pass')
      await until(() => hooks === 1)
    }
    await until(() => far.snapshot().pool.idle === 1)
  })
})
