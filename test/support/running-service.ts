/** A service under `keelson start`, as a real process in an empty folder, with everything that it started. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { pathToFileURL } from 'node:url'
import type { Service } from '../../src/app/index.ts'
import { signToken } from '../../src/http/auth/index.ts'
import { createDatabase, migrate } from '../../src/postgres/index.ts'
import { postgresForTests } from '../../src/testing/index.ts'
import { Client } from './client.ts'
import { spawnKeelson, temporaryFolder, USERS, type CommandOptions, type ExitStatus, type Variables } from './command.ts'
import { allGone, descendantsOf, survivorsOf, type ProcessFacts } from './processes.ts'
import { eventually } from './waiting.ts'

export interface RunningServiceOptions {
  /** Default: the reference service. */
  readonly service?: string
  /** Default: production. */
  readonly mode?: 'production' | 'development'
  /** Default: false. */
  readonly single?: boolean
  /** Default: 2. */
  readonly workers?: number
  /** Added to what is needed to start at all; the token's key and scopes are given with it. */
  readonly env?: Variables
  /** A URL; `embedded`, which needs development; or a fresh database of the test server. Default: the last. */
  readonly database?: string
  /** Whether its migrations were applied beforehand, as `keelson migrate` would. Default: true. */
  readonly migrated?: boolean
  /** Default: a fresh one, which is removed at the end. */
  readonly folder?: string
  /** What to wait for: requests can be taken, or the listeners are open. Default: `ready`. */
  readonly until?: 'ready' | 'listening'
  /** Of its token. Default: those of the reference service. */
  readonly scopes?: readonly string[]
}

export type LogLine = Readonly<Record<string, unknown>> & { readonly msg?: string; readonly pid?: number }

export interface WorkerInfo {
  readonly id: number
  readonly pid: number
  readonly state: string
  readonly ready: boolean
}

export interface Probe {
  readonly status: number
  readonly body: { readonly status: string; readonly reasons: readonly string[]; readonly degraded: readonly string[] }
}

export interface RunningService extends AsyncDisposable {
  readonly url: string
  readonly adminUrl: string
  /** The header that its routes accept. */
  readonly authorization: { readonly authorization: string }
  readonly pid: number
  readonly folder: string
  readonly stdout: string
  readonly stderr: string
  /** The lines of its log so far, in development without the banner. */
  logs(): readonly LogLine[]
  readonly exited: Promise<ExitStatus>
  /** Sends the signal and waits for the end of the process and of everything that it had started. */
  stop(signal?: NodeJS.Signals): Promise<ExitStatus>
  probe(name: 'livez' | 'readyz' | 'startupz'): Promise<Probe>
  /** What `/metrics` shows; workers report once a second. */
  metrics(): Promise<string>
  workers(): Promise<readonly WorkerInfo[]>
  /** Waits until so many take requests; returns their pids. */
  workersReady(count: number): Promise<readonly number[]>
  /** A caller whose connection that worker has accepted. One at a time: the other workers stand still meanwhile. */
  clientOn(workerPid: number): Promise<Client>
  client(): Client
}

const DEFAULTS = { service: USERS, mode: 'production', single: false, until: 'ready', workers: 2 } as const

const ENVIRONMENT: Variables = { HOST: '127.0.0.1', KEELSON_ADMIN_HOST: '127.0.0.1', KEELSON_ADMIN_PORT: '0' }

const START_LIMIT_MS = 60_000

export async function startService(options: RunningServiceOptions = {}): Promise<RunningService> {
  await using undo = new AsyncDisposableStack()
  const { service, mode, single, until, workers } = { ...DEFAULTS, ...options }
  const folder = options.folder ?? undo.use(temporaryFolder()).path
  const database = await databaseUrl(options, undo)
  const secret = randomBytes(32).toString('base64url')
  // Alone in production a service does not tell which port it was given.
  const port = single && mode === 'production' ? await freePort() : 0
  const identity = mode === 'production' ? { JWT_SECRET: secret, JWT_ISSUER: 'test', JWT_AUDIENCE: 'test' } : {}
  const env = { ...ENVIRONMENT, ...identity, PORT: `${port}`, WORKERS: `${workers}`, DATABASE_URL: database, ...options.env }
  const flags = [...(mode === 'development' ? ['--development'] : []), ...(single ? ['--single'] : [])]
  const running = new Program(['start', ...flags, service], { env, folder }, undo.move())
  try {
    await running.addresses(port)
    if (mode === 'production') running.token = await tokenFor(options, secret)
    if (until === 'ready') await running.ready()
    return running
  } catch (error) {
    await running[Symbol.asyncDispose]()
    throw error
  }
}

function tokenFor({ scopes = ['users:read', 'users:write'] }: RunningServiceOptions, secret: string): Promise<string> {
  return signToken({ key: { secret }, issuer: 'test', audience: 'test', sub: 'ada', username: 'ada', scopes })
}

async function databaseUrl(
  { service = USERS, mode = 'production', database, migrated = true }: RunningServiceOptions,
  undo: AsyncDisposableStack,
): Promise<string | undefined> {
  if (database === 'embedded') return undefined
  const { migrations } = ((await import(pathToFileURL(service).href)) as { default: Service }).default
  const url = database ?? undo.use(await postgresForTests()).url
  if (database === undefined && migrations && migrated && mode === 'production') await applyMigrations(url, migrations)
  return url
}

export async function applyMigrations(url: string, folder: URL): Promise<void> {
  await using database = createDatabase({ url, max: 1 })
  await migrate(database, { folder })
}

/** A port that somebody else listens on. */
export async function takenPort(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    },
  }
}

export async function freePort(): Promise<number> {
  await using taken = await takenPort()
  return taken.port
}

class Program implements RunningService {
  url = ''
  adminUrl = ''
  token = ''
  stdout = ''
  stderr = ''
  readonly pid: number
  readonly folder: string
  readonly exited: Promise<ExitStatus>
  readonly #closed: Promise<unknown>
  readonly #surroundings: AsyncDisposableStack
  #status: ExitStatus | undefined
  #known: readonly ProcessFacts[] = []

  /** @param surroundings what is undone after its end. */
  constructor(args: readonly string[], { env, folder }: Required<CommandOptions>, surroundings: AsyncDisposableStack) {
    const child = spawnKeelson(args, { env, folder })
    this.#surroundings = surroundings
    this.folder = folder ?? ''
    this.pid = child.pid!
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.exited = once(child, 'exit').then(([code, signal]) => (this.#status = (code ?? signal) as ExitStatus))
    this.#closed = once(child, 'close')
  }

  get authorization(): { readonly authorization: string } {
    return { authorization: `Bearer ${this.token}` }
  }

  logs(): readonly LogLine[] {
    const whole = this.stdout.slice(0, this.stdout.lastIndexOf('\n') + 1)
    return whole
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine)
  }

  /** From the banner, or from the first line of the log. */
  async addresses(port: number): Promise<void> {
    await this.#untilStarted('the listeners', () => {
      const banner = /^ {2}service +(\S+)\n.*\n {2}admin +(http:\/\/[^/]+)\/(?:.*\n)*?(eyJ\S+)\n(?:.*\n)*curl .*\n/m.exec(
        this.stdout,
      )
      if (banner) [, this.url = '', this.adminUrl = '', this.token = ''] = banner
      const started = this.logs().find((line) => line['event'] === 'arbiter.started')
      if (started) {
        const at = started['addresses'] as { public?: AddressInfo; admin: AddressInfo }
        this.url = `http://127.0.0.1:${at.public?.port ?? port}`
        this.adminUrl = `http://127.0.0.1:${at.admin.port}`
      }
      return this.adminUrl !== ''
    })
  }

  async ready(): Promise<void> {
    await this.#untilStarted('readiness', async () => (await this.probe('readyz')).status === 200)
  }

  async #untilStarted(what: string, look: () => boolean | Promise<boolean>): Promise<void> {
    await eventually(
      what,
      () => {
        if (this.#status !== undefined) throw new Error(`it ended with ${this.#status}: ${this.stderr}${this.stdout}`)
        return look()
      },
      { limitMs: START_LIMIT_MS },
    ).catch((cause: unknown) => {
      throw new Error(`the service did not start: ${String(cause)}\n${this.stderr}${this.stdout}`, { cause })
    })
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<ExitStatus> {
    this.#know()
    if (this.#status === undefined) process.kill(this.pid, signal)
    const status = await this.exited
    await allGone(this.#known)
    // The last words of its workers, whose output is the same pipe.
    await this.#closed
    return status
  }

  async probe(name: 'livez' | 'readyz' | 'startupz'): Promise<Probe> {
    using client = new Client(this.adminUrl)
    const answer = await client.get(`/${name}`)
    return { status: answer.status, body: answer.json() }
  }

  async metrics(): Promise<string> {
    using client = new Client(this.adminUrl)
    return (await client.get('/metrics')).body
  }

  async workers(): Promise<readonly WorkerInfo[]> {
    using client = new Client(this.adminUrl)
    return (await client.get('/info')).json<{ workers: WorkerInfo[] }>().workers
  }

  workersReady(count: number): Promise<readonly number[]> {
    return eventually(`${count} workers`, async () => {
      const ready = (await this.workers()).filter((worker) => worker.ready)
      return ready.length === count && ready.map(({ pid }) => pid)
    })
  }

  /** They share one listening socket, and any of them may be the first to accept. */
  async clientOn(workerPid: number): Promise<Client> {
    const others = (await this.workers()).map(({ pid }) => pid).filter((pid) => pid !== workerPid)
    for (const pid of others) process.kill(pid, 'SIGSTOP')
    try {
      const client = this.client()
      await client.get('/health')
      return client
    } finally {
      for (const pid of others) process.kill(pid, 'SIGCONT')
    }
  }

  client(): Client {
    return new Client(this.url, this.authorization)
  }

  /** Remembers whom it has started, because orphans get another parent. */
  #know(): void {
    const seen = new Map([...this.#known, ...descendantsOf(this.pid)].map((one) => [`${one.pid} ${one.startedAt}`, one]))
    this.#known = [...seen.values()]
  }

  /** Kills it and its workers; an embedded Postgres is stopped by its guard. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#know()
    const workers = this.#known.filter(({ command }) => command.includes('cli/worker.'))
    const here = this.#status === undefined ? [this.pid] : []
    for (const pid of [...here, ...survivorsOf(workers).map((worker) => worker.pid)]) process.kill(pid, 'SIGKILL')
    await this.exited
    try {
      await allGone(this.#known)
    } finally {
      for (const { pid } of survivorsOf(this.#known)) process.kill(pid, 'SIGKILL')
      await this.#surroundings.disposeAsync()
    }
  }
}
