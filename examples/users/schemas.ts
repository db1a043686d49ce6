/** What goes in and what comes out. Bodies are strict: an unknown field is refused, not dropped. */
import { z } from 'zod'

const email = z
  .email()
  .max(254)
  .meta({ examples: ['ada@example.com'] })

const name = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .meta({ examples: ['Ada Lovelace'] })

const username = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{1,30}[A-Za-z0-9]$/, '3 to 32 letters, digits, dots, dashes or underscores')
  .meta({ examples: ['ada'] })

export const NewUser = z.strictObject({ email, name, username })
export type NewUser = z.infer<typeof NewUser>

export const UserChanges = NewUser.partial().refine((changes) => Object.keys(changes).length > 0, 'at least one field is needed')
export type UserChanges = z.infer<typeof UserChanges>

export const UserId = z.strictObject({ id: z.uuid().meta({ examples: ['019a8f2e-7c1b-7000-8000-000000000001'] }) })

export const User = z.object({
  id: z.uuid(),
  email: z.string(),
  name: z.string(),
  username: z.string(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
})
export type User = z.infer<typeof User>
