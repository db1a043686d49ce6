import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { createDatabase, keyset, type Database, type KeysetColumn } from '../../src/postgres/index.ts'
import { freshDatabase, observe, type FreshDatabase } from './fixture.ts'

interface Schema {
  events: { id: number; grade: number; at: Date; label: string | null }
}

type Column = KeysetColumn<'id' | 'grade' | 'at' | 'label' | 'events.id'>

describe('pages by key', () => {
  let server: FreshDatabase
  let db: Database<Schema>
  before(async () => {
    server = await freshDatabase()
    await using observer = await observe(server.url)
    await observer.query('create table events (id int primary key, grade int not null, at timestamptz not null, label text)')
    // Several rows per microsecond, and many microseconds per millisecond.
    await observer.query(`insert into events select i, i % 4, timestamptz '2026-01-01 00:00:00+01' + (i / 3) * interval '1 microsecond', null
      from generate_series(1, 60) i`)
    db = createDatabase<Schema>({ url: server.url })
  })
  after(async () => {
    await db[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  async function readAll(order: readonly Column[], limit: number): Promise<number[]> {
    const ids: number[] = []
    let after: readonly (string | number)[] | undefined
    do {
      const page = await keyset(db.selectFrom('events').select('id'), { order, limit, after })
      for (const item of page.items) assert.deepEqual(Object.keys(item), ['id'])
      ids.push(...page.items.map(({ id }) => id))
      after = page.next
    } while (after)
    return ids
  }

  async function readAtOnce(order: readonly Column[]): Promise<number[]> {
    let query = db.selectFrom('events').select('id')
    for (const { column, direction = 'asc' } of order) query = query.orderBy(column, direction)
    return (await query.execute()).map(({ id }) => id)
  }

  it('show every row once, in order, whatever the directions and the page size', async () => {
    const direction = fc.constantFrom('asc' as const, 'desc' as const, undefined)
    const orders = fc
      .record({ columns: fc.shuffledSubarray(['grade', 'at'] as const), directions: fc.tuple(direction, direction, direction) })
      .map(({ columns, directions }): Column[] =>
        [...columns, 'events.id' as const].map((column, i) => ({ column, direction: directions[i] })),
      )
    await fc.assert(
      fc.asyncProperty(orders, fc.integer({ min: 1, max: 70 }), async (order, limit) => {
        assert.deepEqual(await readAll(order, limit), await readAtOnce(order))
      }),
      { numRuns: 40, seed: 7 },
    )
  })

  it('stay where they are when rows come and go', async () => {
    const order: Column[] = [
      { column: 'at', direction: 'desc' },
      { column: 'id', direction: 'desc' },
    ]
    const first = await keyset(db.selectFrom('events').selectAll(), { order, limit: 5 })
    await db
      .insertInto('events')
      .values({ id: 99, grade: 0, at: new Date('2027-01-01'), label: null })
      .execute()
    await db.deleteFrom('events').where('id', '=', first.items[4]!.id).execute()
    const second = await keyset(db.selectFrom('events').selectAll(), { order, limit: 5, after: first.next })
    assert.deepEqual(
      second.items.map(({ id }) => id),
      [55, 54, 53, 52, 51],
    )
    assert.ok(second.items[0]!.at instanceof Date)
    assert.match(String(second.next?.[0]), /\.\d{5,6}\+/)
  })

  it('refuse a cursor that does not fit, as the caller’s fault', async () => {
    const order: Column[] = [{ column: 'at' }, { column: 'id' }]
    const page = (after: readonly string[]): Promise<unknown> =>
      keyset(db.selectFrom('events').selectAll(), { order, limit: 5, after })
    await assert.rejects(page(['2026-01-01']), { code: 'KEELSON_CURSOR_INVALID', kind: 'invalid' })
    await assert.rejects(page(['never', '1']), { kind: 'invalid' })
    await assert.rejects(page(['2026-01-01', `1'; drop table events`]), { kind: 'invalid' })
  })

  it('refuse an order column that is null, and options without sense', async () => {
    const query = db.selectFrom('events').select('id')
    await assert.rejects(keyset(query, { order: [{ column: 'label' }, { column: 'id' }], limit: 2 }), {
      code: 'KEELSON_KEYSET_NULL',
    })
    await assert.rejects(keyset(query, { order: [{ column: 'id' }], limit: 0 }), { code: 'KEELSON_CONFIG_INVALID' })
    await assert.rejects(keyset(query, { order: [], limit: 1 }), { code: 'KEELSON_CONFIG_INVALID' })
  })
})
