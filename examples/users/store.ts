/** Every statement about users. Functions take whatever can query: the pool, a request's share of it, a transaction. */
import { KeelsonError, uuidv7 } from 'keelson'
import { isUniqueViolation, keyset, type KeysetPage, type Queryable } from 'keelson/postgres'
import { sql, type Generated, type Selectable } from 'kysely'
import type { NewUser, User, UserChanges } from './schemas.ts'

interface UsersTable {
  id: string
  email: string
  username: string
  name: string
  version: Generated<number>
  created_at: Generated<Date>
  updated_at: Generated<Date>
}

declare module 'keelson/postgres' {
  interface Tables {
    users: UsersTable
  }
}

/** A user as stored: with the version that its ETag is made of, which is no field of the answer. */
export interface StoredUser extends User {
  readonly version: number
}

/** Ids are UUIDv7, so this is the order of creation, and a new user never lands on a page that was read already. */
export const LIST_ORDER = [{ column: 'id' as const }]

/** @throws KeelsonError `USERS_TAKEN` (conflict) naming the field. */
export async function insertUser(db: Queryable, given: NewUser): Promise<StoredUser> {
  const row = await db
    .insertInto('users')
    .values({ id: uuidv7(), ...given })
    .returningAll()
    .executeTakeFirstOrThrow()
    .catch(rethrowTaken)
  return toUser(row)
}

export async function findUser(db: Queryable, id: string): Promise<StoredUser | null> {
  const row = await db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst()
  return row ? toUser(row) : null
}

export async function listUsers(
  db: Queryable,
  limit: number,
  after?: readonly (string | number)[],
): Promise<KeysetPage<StoredUser>> {
  const page = await keyset(db.selectFrom('users').selectAll(), { order: LIST_ORDER, limit, after })
  return { ...page, items: page.items.map(toUser) }
}

/** Locks the row, so that the version that is checked is the version that is changed. */
export async function lockVersion(tx: Queryable, id: string): Promise<number | undefined> {
  const row = await tx.selectFrom('users').select('version').where('id', '=', id).forUpdate().executeTakeFirst()
  return row?.version
}

/** @throws KeelsonError `USERS_TAKEN` (conflict) naming the field. */
export async function updateUser(tx: Queryable, id: string, changes: UserChanges): Promise<StoredUser> {
  const row = await tx
    .updateTable('users')
    .set(withoutUndefined(changes))
    .set({ version: sql`version + 1`, updated_at: sql`now()` })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow()
    .catch(rethrowTaken)
  return toUser(row)
}

export async function deleteUser(tx: Queryable, id: string): Promise<void> {
  await tx.deleteFrom('users').where('id', '=', id).execute()
}

function toUser({ created_at, updated_at, ...rest }: Selectable<UsersTable>): StoredUser {
  return { ...rest, createdAt: created_at.toISOString(), updatedAt: updated_at.toISOString() }
}

/** The database decides, not a look beforehand: between that and the insert, somebody else may have come. */
function rethrowTaken(error: unknown): never {
  const field = isUniqueViolation(error, 'users_email_key') ? 'email' : isUniqueViolation(error) ? 'username' : undefined
  if (field === undefined) throw error
  const problems = [{ pointer: `/${field}`, code: 'taken', message: `this ${field} belongs to another user` }]
  throw new KeelsonError('USERS_TAKEN', 'conflict', `the ${field} is taken`, { cause: error, problems })
}

function withoutUndefined<T extends object>(changes: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)) as never
}
