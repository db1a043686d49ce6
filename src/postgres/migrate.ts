/**
 * Migrations: forward only, each in its own transaction, one migrator at a time.
 * Not Kysely's Migrator: that runs all in one transaction, knows no checksums and no `.sql`, and waits for its lock
 * inside a statement, whose snapshot would block another migrator's `create index concurrently` for ever.
 */
import { NEVER } from '../core/abort.ts'
import { KeelsonError } from '../core/errors.ts'
import { PostgresDatabase, type Database } from './database.ts'
import { applyMigration } from './migration-run.ts'
import { checksumOf, listMigrations, type MigrationFile } from './migration-files.ts'
import { createTable, readApplied, recordApplied, tryLock, unlock, type AppliedMigration } from './migration-table.ts'
import type { ScopeContext } from './scoped-database.ts'
import type { Session } from './session.ts'

/** How often a migrator looks whether the other has finished, in milliseconds. */
const LOOK_AGAIN_MS = 250

export interface MigrationOptions {
  /** Where the files are, e.g. `new URL('./migrations/', import.meta.url)`. */
  readonly folder: URL
  /** Default: never. */
  readonly signal?: AbortSignal | undefined
}

export interface MigrateOptions extends MigrationOptions {
  /** Takes files that changed after they were applied for what was applied, instead of refusing. Default: false. */
  readonly acceptChanges?: boolean | undefined
}

export interface MigrationStatus {
  /** In the code and in the database. */
  readonly applied: readonly string[]
  /** In the code only. */
  readonly pending: readonly string[]
  /** In the database only: the database is ahead of this code, as while a newer release is rolled back. */
  readonly unknown: readonly string[]
}

export interface MigrateResult {
  /** What this call applied, in order. */
  readonly applied: readonly string[]
  readonly unknown: readonly string[]
}

/**
 * Brings the schema up to the code. A second migrator waits for the first, and then finds nothing to do.
 * @throws KeelsonError `KEELSON_MIGRATION_CHANGED`, `_MISSING` or `_UNORDERED` when code and database tell different
 * stories; `_BLOCKED` when a lock stays taken; `_FAILED` with the cause; `signal.reason`.
 */
export async function migrate<DB>(database: Database<DB>, options: MigrateOptions): Promise<MigrateResult> {
  const { folder, signal = NEVER, acceptChanges = false } = options
  const files = await listMigrations(folder)
  return await withSession(database, signal, async (session, context) => {
    await lock(session, context, signal)
    try {
      await createTable(session, signal)
      const recorded = await readApplied(session, signal)
      const { pending, unknown } = compare(files, recorded)
      for (const changed of await changedFiles(files, recorded)) {
        if (!acceptChanges) throw changedError(changed.name)
        await recordApplied(session, changed, signal)
      }
      for (const migration of pending) await applyMigration(session, migration, context, signal)
      return { applied: pending.map(({ name }) => name), unknown }
    } finally {
      // The end of the session frees the lock too; this only spares the next migrator a pause.
      if (!signal.aborted) await unlock(session).catch(() => {})
    }
  })
}

/** @throws as `migrate` does when code and database tell different stories. */
export async function migrationStatus<DB>(
  database: Database<DB>,
  { folder, signal = NEVER }: MigrationOptions,
): Promise<MigrationStatus> {
  const files = await listMigrations(folder)
  return await withSession(database, signal, async (session) => {
    const recorded = await readApplied(session, signal)
    const { pending, unknown } = compare(files, recorded)
    const [changed] = await changedFiles(files, recorded)
    if (changed) throw changedError(changed.name)
    const waiting = new Set(pending)
    return { applied: files.filter((file) => !waiting.has(file)).map(nameOf), pending: pending.map(nameOf), unknown }
  })
}

/** For readiness: one small statement on a pooled connection. True also when the database is ahead of this code. */
export async function schemaIsCurrent<DB>(
  database: Database<DB>,
  { folder, signal = NEVER }: MigrationOptions,
): Promise<boolean> {
  const files = await listMigrations(folder)
  const session = await asPostgres(database).context.connections.acquire(signal)
  try {
    const applied = new Set((await readApplied(session, signal)).map(nameOf))
    return files.every(({ name }) => applied.has(name))
  } finally {
    void session.release()
  }
}

async function lock(session: Session, context: ScopeContext, signal: AbortSignal): Promise<void> {
  for (let waiting = false; !(await tryLock(session, signal)); waiting = true) {
    if (!waiting) context.emit({ type: 'migration.waiting', source: context.source })
    await context.clock.sleep(LOOK_AGAIN_MS, signal)
  }
}

/** @throws when what was applied is not a beginning of what the code has. */
function compare(
  files: readonly MigrationFile[],
  recorded: readonly AppliedMigration[],
): { pending: MigrationFile[]; unknown: string[] } {
  const known = new Map(files.map((file) => [file.name, file]))
  const applied = new Set(recorded.map(nameOf))
  const pending = files.filter(({ name }) => !applied.has(name))
  const newest = Math.max(0, ...files.map(numberOf))
  const strangers = recorded.filter(({ name }) => !known.has(name))

  const missing = strangers.find((stranger) => numberOf(stranger) <= newest)
  if (missing) throw differs('KEELSON_MIGRATION_MISSING', missing.name, 'was applied, but its file is gone')
  const lastApplied = Math.max(0, ...recorded.map(numberOf))
  const late = pending.find((file) => numberOf(file) < lastApplied)
  if (late)
    throw differs('KEELSON_MIGRATION_UNORDERED', late.name, 'comes before one that is already applied: give it a higher number')
  return { pending, unknown: strangers.map(nameOf) }
}

/** The applied files whose text is not what was applied, with the checksum they have now. */
async function changedFiles(files: readonly MigrationFile[], recorded: readonly AppliedMigration[]): Promise<AppliedMigration[]> {
  const byFile = new Map(recorded.map((row) => [row.file, row]))
  const changed: AppliedMigration[] = []
  for (const migration of files) {
    const row = byFile.get(migration.file)
    const checksum = row && (await checksumOf(migration))
    if (row && checksum && checksum !== row.checksum) changed.push({ ...row, checksum })
  }
  return changed
}

function changedError(name: string): KeelsonError {
  return differs('KEELSON_MIGRATION_CHANGED', name, 'was changed after it was applied: undo the change and add a new migration')
}

function differs(code: `KEELSON_MIGRATION_${string}`, name: string, says: string): KeelsonError {
  return new KeelsonError(code, 'internal', `migration ${name} ${says}`, { details: { migration: name } })
}

async function withSession<DB, T>(
  database: Database<DB>,
  signal: AbortSignal,
  work: (session: Session, context: ScopeContext) => Promise<T>,
): Promise<T> {
  const postgres = asPostgres(database)
  const session = await postgres.openSession(signal)
  try {
    return await work(session, postgres.context)
  } finally {
    await session.release()
  }
}

function asPostgres<DB>(database: Database<DB>): PostgresDatabase<DB> {
  if (database instanceof PostgresDatabase) return database
  throw new TypeError('migrations need a database made by createDatabase()')
}

function nameOf({ name }: { readonly name: string }): string {
  return name
}

function numberOf({ name }: { readonly name: string }): number {
  return Number.parseInt(name, 10)
}
