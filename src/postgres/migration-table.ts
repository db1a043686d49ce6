/** What the database remembers: the table `keelson_migrations`, and the lock that keeps migrators apart. */
import { NEVER } from '../core/abort.ts'
import type { Session, Statement } from './session.ts'

export interface AppliedMigration {
  readonly name: string
  /** With its extension: a checksum says something only about the same kind of file. */
  readonly file: string
  readonly checksum: string
}

/** Any two numbers that nobody else is likely to take; advisory locks belong to one database. */
const LOCK_KEY = '1262636108, 1936683630'

export async function tryLock(session: Session, signal: AbortSignal): Promise<boolean> {
  const { rows } = await session.run(statement(`select pg_try_advisory_lock(${LOCK_KEY}) as locked`), signal)
  return (rows as { locked: boolean }[])[0]?.locked === true
}

export async function unlock(session: Session): Promise<void> {
  await session.run(statement(`select pg_advisory_unlock(${LOCK_KEY})`), NEVER)
}

export async function createTable(session: Session, signal: AbortSignal): Promise<void> {
  const sql = `create table if not exists keelson_migrations (
    name text primary key, file text not null, checksum text not null, applied_at timestamptz not null default now())`
  await session.run(statement(sql), signal)
}

/** Nothing when the table doesn't exist yet. */
export async function readApplied(session: Session, signal: AbortSignal): Promise<readonly AppliedMigration[]> {
  const { rows } = await session.run(statement(`select to_regclass('keelson_migrations') is not null as present`), signal)
  if (!(rows as { present: boolean }[])[0]?.present) return []
  const applied = await session.run(statement('select name, file, checksum from keelson_migrations order by name'), signal)
  return applied.rows as AppliedMigration[]
}

export async function recordApplied(
  session: Session,
  { name, file, checksum }: AppliedMigration,
  signal: AbortSignal,
): Promise<void> {
  const sql = `insert into keelson_migrations (name, file, checksum) values ($1, $2, $3)
    on conflict (name) do update set file = excluded.file, checksum = excluded.checksum`
  await session.run({ sql, parameters: [name, file, checksum] }, signal)
}

export function statement(sql: string): Statement {
  return { sql, parameters: [] }
}
