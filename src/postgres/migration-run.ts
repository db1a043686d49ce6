/**
 * Applies one migration. A statement that waits for a table's lock makes everybody after it wait too, so it waits
 * 2 s at most, steps back, and tries again when the table may be free.
 * https://postgres.ai/blog/20210923-zero-downtime-postgres-schema-migrations-lock-timeout-and-retries
 */
import { SingleConnectionProvider } from 'kysely'
import type { Clock } from '../core/clock.ts'
import { createDeadline } from '../core/deadline.ts'
import { KeelsonError } from '../core/errors.ts'
import { loadMigration, type LoadedMigration, type MigrationDatabase, type MigrationFile } from './migration-files.ts'
import { recordApplied, statement } from './migration-table.ts'
import { ProvidedQueryable } from './queryable.ts'
import type { ScopeContext } from './scoped-database.ts'
import { SessionConnection } from './session-connection.ts'
import { SETTLE_WITHIN_MS, type Session } from './session.ts'
import { sqlstateOf } from './sqlstate.ts'

const LOCK_TIMEOUT_MS = 2_000
const TRIES = 20
const FIRST_PAUSE_MS = 500
const LAST_PAUSE_MS = 10_000
const LOCK_NOT_AVAILABLE = '55P03'

interface Run {
  readonly session: Session
  readonly file: MigrationFile
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** @throws KeelsonError `KEELSON_MIGRATION_BLOCKED` or `KEELSON_MIGRATION_FAILED`; `signal.reason`. */
export async function applyMigration(
  session: Session,
  file: MigrationFile,
  context: ScopeContext,
  signal: AbortSignal,
): Promise<void> {
  const migration = await loadMigration(file)
  const run = migration.transaction ? runInTransaction : runPlain
  const { clock, emit, random, source } = context
  const startedAt = clock.now()
  for (let attempt = 1; ; attempt++) {
    try {
      await run({ session, file, clock, signal }, migration)
      emit({ type: 'migration.applied', source, migration: file.name, durationMs: clock.now() - startedAt })
      return
    } catch (error) {
      signal.throwIfAborted()
      const blocked = migration.transaction && sqlstateOf(error) === LOCK_NOT_AVAILABLE
      if (!blocked || attempt === TRIES) throw failed(file, error, blocked)
    }
    const delayMs = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1)) * (0.5 + random() / 2)
    emit({ type: 'migration.blocked', source, migration: file.name, attempt, delayMs })
    await clock.sleep(delayMs, signal)
  }
}

async function runInTransaction({ session, file, clock, signal }: Run, migration: LoadedMigration): Promise<void> {
  await session.run(statement(`begin; set local lock_timeout = ${LOCK_TIMEOUT_MS}; set local statement_timeout = 0`), signal)
  try {
    await work(session, migration, signal)
    await recordApplied(session, { ...file, checksum: migration.checksum }, signal)
    await session.run(statement('commit'), signal)
  } catch (error) {
    await session.settled()
    using limit = createDeadline({ timeoutMs: SETTLE_WITHIN_MS, clock })
    await session.run(statement('rollback'), limit.signal).catch(() => session.discard('broken'))
    throw error
  }
}

/** What can't run in a transaction also waits by design, such as `create index concurrently`: without a lock timeout. */
async function runPlain({ session, file, signal }: Run, migration: LoadedMigration): Promise<void> {
  await session.run(statement('set lock_timeout = 0'), signal)
  await session.run(statement('set statement_timeout = 0'), signal)
  await work(session, migration, signal)
  await recordApplied(session, { ...file, checksum: migration.checksum }, signal)
}

async function work(session: Session, { work: migration }: LoadedMigration, signal: AbortSignal): Promise<void> {
  if (typeof migration === 'string') {
    await session.run(statement(migration), signal)
    return
  }
  const provider = new SingleConnectionProvider(new SessionConnection(session, signal))
  const db: MigrationDatabase = new ProvidedQueryable(provider)
  await migration(db)
}

function failed({ name }: MigrationFile, cause: unknown, blocked: boolean): KeelsonError {
  const details = { migration: name, sqlstate: sqlstateOf(cause) }
  if (blocked) {
    return new KeelsonError('KEELSON_MIGRATION_BLOCKED', 'unavailable', `migration ${name}: a lock it needs stays taken`, {
      cause,
      details,
    })
  }
  const why = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause)
  return new KeelsonError('KEELSON_MIGRATION_FAILED', 'internal', `migration ${name} failed: ${why}`, { cause, details })
}
