/**
 * Your tables, as Kysely types. Declare them once and every query is typed:
 * `declare module 'keelson/postgres' { interface Tables { users: UsersTable } }`
 */
export interface Tables {}
