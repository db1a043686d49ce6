/** A real Postgres for development and tests, with nothing to install. */
export { isEmbeddedPostgresAvailable } from './binaries.ts'
export {
  EMBEDDED_POSTGRES_DEFAULTS,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from './embedded-postgres.ts'
export { type EmbeddedErrorCode } from './errors.ts'
export { type EmbeddedStep } from './guard-protocol.ts'
