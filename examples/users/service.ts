/** The reference service: users in Postgres, read through the cache, behind scoped tokens. */
import { defineService } from 'keelson'
import { z } from 'zod'
import { greeting } from './greeting.ts'
import { users } from './users.ts'

export default defineService({
  name: 'users',
  version: '1.0.0',
  env: z.object({
    /** Users on a page where the caller asks for no number. */
    USERS_PAGE_SIZE: z.coerce.number().int().min(1).max(100).default(20),
  }),
  migrations: new URL('./migrations/', import.meta.url),
  async register(app, { env }) {
    await app.register(users, { prefix: '/api/users', pageSize: env.USERS_PAGE_SIZE })
    await app.register(greeting)
  },
})
