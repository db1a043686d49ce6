/** Postgres, bounded and cancellable: pool, scopes, transactions, pages, migrations. */
export { createDatabase, type Database } from './database.ts'
export { DATABASE_DEFAULTS, type DatabaseOptions } from './database-options.ts'
export { databases, type DatabaseSnapshot } from './databases.ts'
export * from './events.ts'
export { keyset, type KeysetColumn, type KeysetOptions, type KeysetPage } from './keyset.ts'
export type { MigrationDatabase, MigrationModule } from './migration-files.ts'
export {
  migrate,
  migrationStatus,
  schemaIsCurrent,
  type MigrateOptions,
  type MigrateResult,
  type MigrationOptions,
  type MigrationStatus,
} from './migrate.ts'
export { pulseOf } from './pulse.ts'
export type { Queryable } from './queryable.ts'
export type { ReachOptions } from './reachable.ts'
export type { Scope } from './scope.ts'
export { TRANSACTION_DEFAULTS, type ScopedDatabase, type TransactionOptions } from './scoped-database.ts'
export { isUniqueViolation, sqlstateOf, toDatabaseError } from './sqlstate.ts'
// A star, because only that lets `declare module 'keelson/postgres'` reach the interface behind it.
export * from './tables.ts'
export type { AfterCommit, AfterCommitOptions, Transaction } from './transaction.ts'
