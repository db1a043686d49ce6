/** A database at hand in every route: `app.db`, and `request.db`, whose statements end with the request's deadline. */
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { invalidOption } from '../../core/options.ts'
import type { Database, ScopedDatabase } from '../../postgres/index.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** For work that belongs to no request; within a cache's loader use `app.db.within(load)`. */
    readonly db: Database
  }

  interface FastifyRequest {
    /** The database within this request's deadline; it holds no connection between statements, outside `transaction()`. */
    readonly db: ScopedDatabase
  }
}

export interface DatabaseOptions {
  /** From `createDatabase`; the caller owns it, and disposes it. */
  readonly database: Database
}

const SCOPED = Symbol('keelson.db')

async function databasePlugin(app: FastifyInstance, { database }: DatabaseOptions): Promise<void> {
  if (typeof database?.within !== 'function')
    throw invalidOption('database', 'database', 'must come from createDatabase()', database)
  if (!app.hasRequestDecorator('deadline')) {
    throw invalidOption('database', 'deadline', 'must be registered before it, from keelson/http/deadline', 'none')
  }
  app.decorate('db', database)
  app.decorateRequest('db', {
    getter(this: FastifyRequest & { [SCOPED]?: ScopedDatabase }) {
      // Read each time, so that a getter in its place can object to who asks.
      const { deadline } = this
      return (this[SCOPED] ??= database.within(deadline))
    },
  })
}

/** Fastify plugin: `app.db` and `request.db`. Needs `keelson/http/deadline`. */
export const database: FastifyPluginAsync<DatabaseOptions> = fp(databasePlugin, {
  name: 'keelson-http-database',
  fastify: '5.x',
})
