/** The whole HTTP border on a real socket, and a client that sends whatever bytes it is told to. */
import { once } from 'node:events'
import { connect, type AddressInfo, type Socket } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { z } from 'zod'
import { cors, type CorsOptions } from '../../src/http/cors/index.ts'
import { errors, type ErrorsOptions } from '../../src/http/errors/index.ts'
import { guard, serverOptions, type GuardOptions, type ServerLimits } from '../../src/http/guard/index.ts'
import { headers } from '../../src/http/headers/index.ts'
import { input, type InputOptions } from '../../src/http/input/index.ts'

export interface LogLine {
  readonly level: number
  readonly msg: string
  readonly err?: { readonly message: string; readonly stack: string }
  readonly errorId?: string
}

export interface Border extends AsyncDisposable {
  readonly app: FastifyInstance
  readonly log: readonly LogLine[]
  readonly port: number
  /** Sends `bytes` and returns the first whole response, or what came before the connection closed. */
  send(bytes: string | Buffer): Promise<Answer>
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly text: string
}

export interface BorderOptions {
  readonly limits?: Partial<ServerLimits>
  readonly guard?: Partial<GuardOptions>
  readonly errors?: Partial<ErrorsOptions>
  readonly cors?: Partial<CorsOptions>
  readonly input?: Partial<InputOptions>
  readonly routes?: (app: FastifyInstance) => void
}

export const NewUser = z.strictObject({ email: z.email(), age: z.int().min(0).max(150).optional() })

function defaultRoutes(app: FastifyInstance): void {
  app.get('/ping', async () => ({ ok: true }))
  app.get('/users/:id', { schema: { params: z.object({ id: z.string() }) } }, async (request) => request.params)
  app.post('/users', { schema: { body: NewUser } }, async (request, reply) => reply.code(201).send(request.body))
  app.post('/any', async (request) => ({ got: request.body ?? 'nothing' }))
  app.get(
    '/search',
    { schema: { querystring: z.object({ q: z.string().optional(), limit: z.int().optional() }) } },
    async (request) => request.query,
  )
}

export async function startBorder(options: BorderOptions = {}): Promise<Border> {
  const log: LogLine[] = []
  const stream = { write: (line: string) => void log.push(JSON.parse(line) as LogLine) }
  const app = Fastify({ ...serverOptions(options.limits), logger: { level: 'info', stream } })
  await app.register(errors, options.errors ?? {})
  await app.register(guard, options.guard ?? {})
  await app.register(headers)
  await app.register(cors, options.cors ?? {})
  await app.register(input, options.input ?? {})
  ;(options.routes ?? defaultRoutes)(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return {
    app,
    log,
    port,
    send: (bytes) => exchange(port, bytes),
    [Symbol.asyncDispose]: async () => {
      app.server.closeAllConnections()
      await app.close()
    },
  }
}

/** For `once`: a test that waits in vain fails instead of hanging. */
export function soon(): { readonly signal: AbortSignal } {
  return { signal: AbortSignal.timeout(10_000) }
}

/** A connection that hands out bytes as they come; half open, it goes on sending when the server has said all it will. */
export async function dial(port: number, allowHalfOpen = false): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen })
  socket.on('error', () => {})
  await once(socket, 'connect', soon())
  return socket
}

export async function exchange(port: number, bytes: string | Buffer): Promise<Answer> {
  const socket = await dial(port)
  socket.write(bytes)
  return readAnswer(socket)
}

async function readAnswer(socket: Socket): Promise<Answer> {
  const timeout = AbortSignal.timeout(10_000)
  const chunks: Buffer[] = []
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    if (isWhole(Buffer.concat(chunks).toString('latin1'))) resolve()
  })
  socket.on('close', () => resolve())
  timeout.addEventListener('abort', () => reject(new Error(`no answer; got ${Buffer.concat(chunks).toString('latin1')}`)))
  try {
    await promise
  } finally {
    socket.destroy()
  }
  return parseAnswer(Buffer.concat(chunks).toString('utf8'))
}

function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return false
  const length = /^content-length: (\d+)/im.exec(text.slice(0, end))?.[1]
  return length === undefined ? /^HTTP\/1.1 (204|304)/.test(text) : text.length >= end + 4 + Number(length)
}

export function parseAnswer(text: string): Answer {
  const [head = '', body = ''] = text.split('\r\n\r\n', 2)
  const [statusLine = '', ...lines] = head.split('\r\n')
  const parsed = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
  })
  return { status: Number(statusLine.split(' ')[1] ?? 0), headers: Object.fromEntries(parsed), body, text }
}
