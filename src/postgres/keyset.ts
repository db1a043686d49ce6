/**
 * Pages by key instead of by offset: each page starts after the last row of the one before, so inserts and deletes
 * neither repeat nor skip rows, and page 1,000 costs what page 1 costs.
 * https://use-the-index-luke.com/no-offset
 */
import { sql, type RawBuilder, type SelectQueryBuilder, type SqlBool, type StringReference } from 'kysely'
import { KeelsonError } from '../core/errors.ts'
import { integerAtLeast, invalidOption } from '../core/options.ts'

export interface KeysetColumn<Column extends string = string> {
  /** As in the query, e.g. `'users.created_at'`. Must be NOT NULL: SQL compares nothing with NULL. */
  readonly column: Column
  /** Default: `'asc'`. */
  readonly direction?: 'asc' | 'desc' | undefined
}

export interface KeysetOptions<Column extends string = string> {
  /** What the pages are ordered by. The last column must be unique, or rows that tie at a page's end are lost. */
  readonly order: readonly KeysetColumn<Column>[]
  /** Rows per page. */
  readonly limit: number
  /** The `next` of the page before; none for the first page. */
  readonly after?: readonly (string | number)[] | undefined
}

export interface KeysetPage<Row> {
  readonly items: readonly Row[]
  /** The order columns of the last item, as the server writes them in full precision; nothing when this is the last page. */
  readonly next: readonly (string | number)[] | undefined
}

/** Names of the columns that carry the cursor; taken out of the items again. */
const CURSOR_PREFIX = 'keelson_cursor_'

/**
 * Runs `query`, which has neither `orderBy` nor `limit`, and returns one page of it. Cursor values are text from the
 * server: a timestamp has microseconds there, and only milliseconds in a JavaScript `Date`.
 * @throws KeelsonError `KEELSON_CURSOR_INVALID` (kind `invalid`) when `after` doesn't fit `order`.
 */
export async function keyset<DB, TB extends keyof DB, Row>(
  query: SelectQueryBuilder<DB, TB, Row>,
  options: KeysetOptions<StringReference<DB, TB>>,
): Promise<KeysetPage<Row>> {
  const { order, limit, after } = options
  checkOptions(options)
  let paged = query.limit(limit + 1)
  for (const [index, { column, direction }] of order.entries()) {
    const text = sql<string>`${sql.ref(column)}::text`.as(`${CURSOR_PREFIX}${index}`)
    // The cursor columns are in no row type: they are gone before anybody sees them.
    paged = paged.orderBy(sql.ref(column), direction ?? 'asc').select(text) as unknown as typeof paged
  }
  if (after) paged = paged.where(isAfter(order, after))

  const rows = (await paged.execute()) as Record<string, unknown>[]
  const cursors = rows.slice(0, limit).map((row) => takeCursor(row, order))
  const items = rows.slice(0, limit) as Row[]
  return { items, next: rows.length > limit ? cursors.at(-1) : undefined }
}

function checkOptions({ order, limit, after }: KeysetOptions): void {
  const problem = integerAtLeast(1)(limit)
  if (problem) throw invalidOption('keyset', 'limit', problem, limit)
  if (order.length === 0) throw invalidOption('keyset', 'order', 'must name at least one column', order)
  if (after && after.length !== order.length) {
    const message = `the cursor has ${after.length} values, the order ${order.length} columns`
    throw new KeelsonError('KEELSON_CURSOR_INVALID', 'invalid', message)
  }
}

/** Moves the cursor's values out of `row`. */
function takeCursor(row: Record<string, unknown>, order: readonly KeysetColumn[]): string[] {
  return order.map(({ column }, index) => {
    const name = `${CURSOR_PREFIX}${index}`
    const value = row[name]
    delete row[name]
    if (typeof value === 'string') return value
    throw new KeelsonError('KEELSON_KEYSET_NULL', 'internal', `keyset: \`${column}\` is null, and cannot be an order column`)
  })
}

function isAfter(order: readonly KeysetColumn[], after: readonly (string | number)[]): RawBuilder<SqlBool> {
  const keys = order.map(({ column, direction = 'asc' }, index) => ({
    ref: sql.ref(column),
    // As text, whatever it was: the server reads it as the column's type.
    value: sql`${String(after[index])}`,
    than: sql.raw(direction === 'asc' ? '>' : '<'),
    direction,
  }))
  const [first] = keys
  if (!first) return sql`true`
  if (keys.every(({ direction }) => direction === first.direction)) {
    return sql`(${sql.join(keys.map(({ ref }) => ref))}) ${first.than} (${sql.join(keys.map(({ value }) => value))})`
  }
  // a > x or (a = x and b < y) or …; the bound on `a` in front lets an index find where to start.
  const terms = keys.map(({ ref, value, than }, index) => {
    const ties = keys.slice(0, index).map((key) => sql`${key.ref} = ${key.value}`)
    return sql`(${sql.join([...ties, sql`${ref} ${than} ${value}`], sql` and `)})`
  })
  return sql`(${first.ref} ${first.than}= ${first.value} and (${sql.join(terms, sql` or `)}))`
}
