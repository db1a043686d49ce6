/** Which list a cursor belongs to, and a short name for it that fits into the cursor. */
import { createHash } from 'node:crypto'

export type FilterValue = string | number | boolean | null | undefined | readonly (string | number | boolean | null)[]

/** What the list is ordered and filtered by. A cursor is good only for the list that it came from. */
export interface CursorScope {
  /** The same list that the query is ordered by. */
  readonly order: readonly { readonly column: string; readonly direction?: 'asc' | 'desc' | undefined }[]
  /** The filters of the query by name, whatever narrows it: also the tenant or the owner. Default: none. */
  readonly filter?: Readonly<Record<string, FilterValue>> | undefined
}

/** The same for the same list in every process; nothing secret depends on it, the cursor as a whole is signed. */
export function fingerprint(order: CursorScope['order'], filter: CursorScope['filter'] = {}): string {
  const columns = order.map(({ column, direction = 'asc' }) => [column, direction])
  const given = Object.entries(filter).filter(([, value]) => value !== undefined)
  const filters = given.toSorted(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256')
    .update(JSON.stringify([columns, filters]))
    .digest('base64url')
    .slice(0, 16)
}
