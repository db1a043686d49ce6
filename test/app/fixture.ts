/** Small services put together by `createApp`, with their log at hand. */
import { createApp, defineService, type App, type CreateAppOptions, type Service } from '../../src/index.ts'
import { signToken } from '../../src/http/auth/index.ts'

export const SECRET = 'correct-horse-battery-staple-0123456789'
export const ENV = { JWT_SECRET: SECRET, JWT_ISSUER: 'https://issuer.example', JWT_AUDIENCE: 'small' }

export interface Line {
  readonly level: string
  readonly msg: string
  readonly [field: string]: unknown
}

export interface Small extends AsyncDisposable {
  readonly app: App
  readonly log: Line[]
}

export interface SmallOptions extends Omit<CreateAppOptions, 'env' | 'logTo'> {
  readonly env?: Readonly<Record<string, string>>
  readonly migrations?: URL
  /** Default: made ready. */
  readonly ready?: boolean
}

/** A service whose routes are public unless they say otherwise. */
export function smallService(register: Service['register'] = () => {}, migrations?: URL): Service {
  return defineService({ name: 'small', version: '1.0.0', migrations, register })
}

/** In production, unless `mode` says otherwise. */
export async function small(register?: Service['register'], options: SmallOptions = {}): Promise<Small> {
  const { env = {}, migrations, ready = true, ...rest } = options
  const log: Line[] = []
  const app = await createApp(smallService(register, migrations), {
    ...rest,
    env: { ...ENV, ...env },
    logTo: { write: (line) => void log.push(JSON.parse(line) as Line) },
  })
  if (ready) await app.ready()
  return {
    app,
    log,
    async [Symbol.asyncDispose]() {
      app.server.closeAllConnections()
      await app.close()
    },
  }
}

export async function bearer(...scopes: readonly string[]): Promise<{ readonly authorization: string }> {
  const { JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = ENV
  const token = await signToken({ key: { secret: SECRET }, issuer, audience, sub: 'ada', username: 'ada', scopes })
  return { authorization: `Bearer ${token}` }
}
