/** The users of a service: an ordinary Fastify plugin, with policy as data on each route. */
import { found, type App } from 'keelson'
import { linkNext, pageOf, pageQuery } from 'keelson/http/pagination'
import { NewUser, User, UserChanges, UserId } from './schemas.ts'
import { deleteUser, findUser, insertUser, LIST_ORDER, listUsers, lockVersion, updateUser, type StoredUser } from './store.ts'

const read = { scopes: ['users:read'] }
const write = { scopes: ['users:write'] }

const ONE_HOUR_MS = 3_600_000

export async function users(app: App, { pageSize }: { readonly pageSize: number }): Promise<void> {
  const cache = app.cache<StoredUser>('user', { ttlMs: ONE_HOUR_MS, staleIfErrorMs: 24 * ONE_HOUR_MS })

  /** After the commit and before the answer; also when the client has left meanwhile, and nobody waits for the answer. */
  async function forget(id: string): Promise<void> {
    await cache.invalidate(id)
  }

  app.post(
    '/',
    {
      schema: { summary: 'Create a user', tags: ['users'], body: NewUser, response: { 201: User } },
      auth: write,
      deadlineMs: 2_000,
    },
    async (request, reply) => {
      const user = await request.db.transaction((tx) => insertUser(tx, request.body))
      return reply.etag(user.version).created(`/api/users/${user.id}`, user)
    },
  )

  app.get(
    '/:id',
    { schema: { summary: 'Read a user', tags: ['users'], params: UserId, response: { 200: User } }, auth: read },
    async ({ params: { id }, deadline: { signal } }, reply) => {
      const user = found(await cache.getOrLoad(id, (load) => findUser(app.db.within(load), id), { signal }))
      reply.etag(user.version)
      return user
    },
  )

  app.get(
    '/',
    {
      schema: {
        summary: 'List users, oldest first',
        tags: ['users'],
        querystring: pageQuery({ defaultLimit: pageSize }),
        response: { 200: pageOf(User) },
      },
      auth: read,
    },
    async (request, reply) => {
      const { limit, cursor } = request.query
      const after = cursor === undefined ? undefined : app.cursors.decode(cursor, { order: LIST_ORDER })
      const { items, next } = await listUsers(request.db, limit, after)
      const nextCursor = next ? app.cursors.encode({ order: LIST_ORDER, values: next }) : null
      if (nextCursor) reply.header('link', linkNext(request, nextCursor))
      return { items: [...items], nextCursor }
    },
  )

  app.patch(
    '/:id',
    {
      schema: { summary: 'Change a user', tags: ['users'], params: UserId, body: UserChanges, response: { 200: User } },
      auth: write,
    },
    async (request, reply) => {
      const { id } = request.params
      const expected = request.ifMatch()
      const user = await request.db.transaction(async (tx) => {
        expected.check(found(await lockVersion(tx, id)))
        tx.afterCommit(() => forget(id), { evenIfUnknown: true })
        return updateUser(tx, id, request.body)
      })
      reply.etag(user.version)
      return user
    },
  )

  app.delete(
    '/:id',
    { schema: { summary: 'Delete a user', tags: ['users'], params: UserId }, auth: write },
    async (request, reply) => {
      const { id } = request.params
      const expected = request.ifMatch()
      await request.db.transaction(async (tx) => {
        expected.check(found(await lockVersion(tx, id)))
        tx.afterCommit(() => forget(id), { evenIfUnknown: true })
        await deleteUser(tx, id)
      })
      return reply.code(204).send()
    },
  )
}
