/** The smallest protected route: any valid token is greeted by name. */
import type { App } from 'keelson'
import { z } from 'zod'

const Greeting = z.object({ message: z.string().meta({ examples: ['Hello ada'] }) })

export async function greeting(app: App): Promise<void> {
  app.get(
    '/protected',
    { schema: { summary: 'Greet the caller', tags: ['greeting'], response: { 200: Greeting } }, auth: 'any' },
    async ({ principal }) => ({
      message: `Hello ${principal?.username ?? principal?.sub}`,
    }),
  )
}
