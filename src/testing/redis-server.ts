/**
 * A real Redis or Valkey for tests: the one that the environment names, else a private one: `redis-server` or
 * `valkey-server` from the PATH, else Valkey compiled to WebAssembly. A private server keeps nothing on disk,
 * can be paused and restarted, and dies with the process that asked for it, however that one dies.
 */
import { randomUUID } from 'node:crypto'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface RedisForTestsOptions {
  /** A private server even where the environment names one, because the test pauses or kills it. Default: false. */
  readonly own?: boolean
  /** `path` for a server from the PATH, `wasm` for the compiled one; implies `own`. Default: whatever is there. */
  readonly kind?: 'path' | 'wasm'
}

export interface TestRedis extends AsyncDisposable {
  readonly url: string
  /** Unique; a test on a shared server keeps its keys below it. */
  readonly prefix: string
  /** Of the server; `undefined` for a server that is not ours. */
  readonly pid: number | undefined
  /** Stops the server where it stands (SIGSTOP): connections stay open, nothing is answered. */
  pause(): void
  resume(): void
  /** Kills the server; connections break, new ones are refused. */
  kill(): Promise<void>
  /** Kills it, if it is alive, and starts an empty one on the same port. */
  restart(): Promise<void>
}

const READY_TIMEOUT_MS = 15_000

/**
 * Named servers come from `KEELSON_TEST_REDIS_URL` or `REDIS_URL`; those cannot be paused or killed.
 * @throws Error if no server starts.
 */
export async function redisForTests({ own, kind }: RedisForTestsOptions = {}): Promise<TestRedis> {
  const named = process.env['KEELSON_TEST_REDIS_URL'] ?? process.env['REDIS_URL']
  if (named && !own && !kind) return namedServer(named)
  const command = kind === 'wasm' ? undefined : serverOnPath()
  if (kind === 'path' && !command) throw new Error('neither redis-server nor valkey-server is on the PATH')
  return privateServer(command)
}

function namedServer(url: string): TestRedis {
  const refuse = (): never => {
    throw new Error('this server is not ours to stop: ask for redisForTests({ own: true })')
  }
  const prefix = `test:${randomUUID()}:`
  return {
    url,
    prefix,
    pid: undefined,
    pause: refuse,
    resume: refuse,
    kill: refuse,
    restart: refuse,
    [Symbol.asyncDispose]: () => removeKeys(url, prefix),
  }
}

async function removeKeys(url: string, prefix: string): Promise<void> {
  const { Redis } = await import('ioredis')
  const client = new Redis(url)
  for await (const keys of client.scanStream({ match: `${prefix}*`, count: 1000 })) {
    if ((keys as string[]).length > 0) await client.unlink(keys as string[])
  }
  client.disconnect()
}

function serverOnPath(): string | undefined {
  return ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0)
}

async function privateServer(command: string | undefined): Promise<TestRedis> {
  const port = await freePort()
  const argv = command
    ? [command, '--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--daemonize', 'no']
    : [process.execPath, '--disable-warning=ExperimentalWarning', valkeyServer(), `${port}`]
  let running = await start(argv, port)
  const signal = (name: NodeJS.Signals): void => void process.kill(running.pid, name)
  return {
    url: `redis://127.0.0.1:${port}`,
    prefix: `test:${randomUUID()}:`,
    get pid() {
      return running.pid
    },
    pause: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    kill: () => stop(running.guard),
    async restart() {
      await stop(running.guard)
      running = await start(argv, port)
    },
    [Symbol.asyncDispose]: () => stop(running.guard),
  }
}

/** Beside this file, with this file's extension: `.ts` from source, `.js` when built. */
function valkeyServer(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return fileURLToPath(new URL(`./valkey/server.${extension}`, import.meta.url))
}

interface Running {
  readonly guard: ChildProcess
  readonly pid: number
}

/** Starts the server, tells its pid, waits for the end of standard input (our death included), then kills it. */
const GUARD_SCRIPT = '"$@" >/dev/null & echo $!; read -r _; kill -9 $! 2>/dev/null; wait 2>/dev/null'

async function start(argv: readonly string[], port: number): Promise<Running> {
  const guard = spawn('sh', ['-c', GUARD_SCRIPT, 'sh', ...argv], { stdio: ['pipe', 'pipe', 'inherit'] })
  guard.stdin.on('error', () => {})
  const [line] = (await once(createInterface(guard.stdout), 'line')) as [string]
  const pid = Number(line)
  // Neither the guard nor its pipes may keep the test's process alive.
  guard.unref()
  for (const stream of [guard.stdin, guard.stdout]) (stream as unknown as { unref?(): void }).unref?.()
  const until = Date.now() + READY_TIMEOUT_MS
  while (!(await answersPing(port))) {
    if (Date.now() > until || !alive(pid)) {
      await stop(guard)
      throw new Error(`${argv[0]} did not answer on port ${port}`)
    }
    await pause(5)
  }
  return { guard, pid }
}

async function stop(guard: ChildProcess): Promise<void> {
  if (guard.exitCode !== null || guard.signalCode !== null) return
  guard.ref()
  const gone = once(guard, 'exit')
  guard.stdin?.end()
  await gone
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function answersPing(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
  socket.setTimeout(1_000, () => socket.destroy())
  socket.once('data', (reply) => {
    resolve(reply.toString('latin1').startsWith('+PONG'))
    socket.destroy()
  })
  socket.on('error', () => {})
  socket.on('close', () => resolve(false))
  return promise
}
