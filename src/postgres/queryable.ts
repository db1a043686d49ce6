/**
 * What queries are built on: Kysely's own builders over an executor of ours, because Kysely's cancellation is per
 * query, opens an unbounded number of logins, and doesn't reach into pools and transactions.
 */
import {
  createFunctionModule,
  DefaultQueryExecutor,
  DynamicModule,
  PostgresAdapter,
  PostgresQueryCompiler,
  QueryCreator,
  SchemaModule,
  type CompiledQuery,
  type ConnectionProvider,
  type FunctionModule,
  type QueryExecutor,
  type QueryResult,
} from 'kysely'
import type { Tables } from './tables.ts'

/**
 * Anything that queries can be built on and run with: a database, a database within a scope, a transaction, and
 * Kysely's own instances. Write your functions for this type, and the caller decides which it is.
 */
export interface Queryable<DB = Tables> extends QueryCreator<DB> {
  /** DDL. */
  readonly schema: SchemaModule
  /** SQL functions, as in `db.fn.countAll()`. */
  readonly fn: FunctionModule<DB, keyof DB>
  /** Column and table names that are known at run time only. */
  readonly dynamic: DynamicModule<DB>
  /** For Kysely: lets `` sql`…`.execute(db) `` run. */
  getExecutor(): QueryExecutor
  /** Runs a query compiled before. */
  executeQuery<R>(query: CompiledQuery<R>): Promise<QueryResult<R>>
}

const COMPILER = new PostgresQueryCompiler()
const ADAPTER = new PostgresAdapter()

/** The `Queryable` whose statements run on the connections that `provider` lends. */
export class ProvidedQueryable<DB> extends QueryCreator<DB> implements Queryable<DB> {
  readonly #executor: QueryExecutor

  constructor(provider: ConnectionProvider) {
    const executor = new DefaultQueryExecutor(COMPILER, ADAPTER, provider)
    super({ executor })
    this.#executor = executor
  }

  get schema(): SchemaModule {
    return new SchemaModule(this.#executor)
  }

  get fn(): FunctionModule<DB, keyof DB> {
    return createFunctionModule<DB, keyof DB>()
  }

  get dynamic(): DynamicModule<DB> {
    return new DynamicModule<DB>()
  }

  getExecutor(): QueryExecutor {
    return this.#executor
  }

  executeQuery<R>(query: CompiledQuery<R>): Promise<QueryResult<R>> {
    return this.#executor.executeQuery(query)
  }
}
