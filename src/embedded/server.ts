/** One run of Postgres on an existing cluster: started, awaited, stopped. */
import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { onAbort } from '../core/abort.ts'
import type { Clock } from '../core/clock.ts'
import { POSTGRES_ENVIRONMENT } from './account.ts'
import { pathForPostgres, POSTGRES_USER, type ClusterSite } from './create-cluster.ts'
import { embeddedError } from './errors.ts'
import { CLUSTER_NAME, settleFormerPostmaster, stopPostmaster } from './postmaster.ts'
import { identify, type ProcessIdentity } from './process-identity.ts'
import { openServerLog, type ServerLog } from './server-log.ts'
import { SOCKET_FOLDER_FOR_POSTGRES, type SocketFolder } from './socket-folder.ts'
import { ask, type WireAnswer } from './wire-client.ts'

export interface PostgresServer extends AsyncDisposable {
  readonly postmaster: ProcessIdentity
  /** Resolves when it is gone, with how it ended and the end of its log. */
  readonly exited: Promise<string>
}

export interface ServerSite extends ClusterSite {
  readonly socket: SocketFolder
  readonly database: string
}

/** Crash recovery may take long; nothing else does. */
const READY_WITHIN_MS = 120_000
const POLL_MS = 5

/** Small, for a development machine: memory and start-up time matter more here than throughput. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '',
  unix_socket_directories: SOCKET_FOLDER_FOR_POSTGRES,
  unix_socket_permissions: '0700',
  cluster_name: CLUSTER_NAME,
  max_connections: '100',
  shared_buffers: '32MB',
  jit: 'off',
}

/** For data that nobody will miss. */
const VOLATILE_SETTINGS: Readonly<Record<string, string>> = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }

/** How long processes of a server that was killed are given to notice, while they still use its shared memory. */
const REMAINS_MS = 10_000
const RETRY_MS = 100

/**
 * Resolves when `database` takes connections; it is created if it doesn't exist.
 * @throws KeelsonError `KEELSON_EMBEDDED_START_FAILED` with the end of Postgres' log.
 * @throws `signal.reason`; then nothing runs.
 */
export async function startServer(site: ServerSite, clock: Clock, signal: AbortSignal): Promise<PostgresServer> {
  const giveUpAt = clock.now() + REMAINS_MS
  for (;;) {
    try {
      return await startOnce(site, clock, signal)
    } catch (error) {
      const remains = error instanceof Error && error.message.includes('pre-existing shared memory block')
      if (!remains || clock.now() > giveUpAt) throw error
      await clock.sleep(RETRY_MS, signal)
    }
  }
}

async function startOnce(site: ServerSite, clock: Clock, signal: AbortSignal): Promise<PostgresServer> {
  const data = join(site.dataFolder, 'data')
  const formerPid = await settleFormerPostmaster(data, clock)
  signal.throwIfAborted()
  const log = openServerLog(site.dataFolder, clock)
  const child = spawnPostmaster(site, log, formerPid)
  const exited = whenGone(child, log)
  const postmaster = child.pid === undefined ? undefined : identify(child.pid)
  const stop = async (): Promise<void> => {
    if (postmaster) await stopPostmaster(postmaster, clock)
    await exited
    log[Symbol.dispose]()
  }
  try {
    if (!postmaster) throw startFailed(await exited)
    await untilReady(site, exited, clock, signal)
    return { postmaster, exited, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function spawnPostmaster(site: ServerSite, log: ServerLog, formerPid: number | undefined): ChildProcess {
  const data = join(site.dataFolder, 'data')
  const settings = { ...SETTINGS, ...(site.durable ? {} : VOLATILE_SETTINGS) }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  return spawn(join(site.binaries, 'bin/postgres'), ['-D', pathForPostgres(data, site.account), ...args], {
    cwd: data,
    // Postgres takes any process with the pid in its lock for a server: a later one with that pid, or a dead one that its
    // parent hasn't reaped. It makes an exception for its forebears, named like this by pg_ctl. Removing the lock instead
    // would also remove its check for processes that still use the shared memory.
    env: { ...POSTGRES_ENVIRONMENT, ...(formerPid === undefined ? {} : { PG_GRANDPARENT_PID: String(formerPid) }) },
    stdio: ['ignore', log.descriptor, log.descriptor],
    ...site.account,
  })
}

function whenGone(child: ChildProcess, log: ServerLog): Promise<string> {
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('exit', (code, signal) => resolve(`it ended with ${code ?? signal}; the end of ${log.path}:\n${log.tail()}`))
  })
}

async function untilReady(site: ServerSite, exited: Promise<string>, clock: Clock, signal: AbortSignal): Promise<void> {
  const waiting = new AbortController()
  using _caller = onAbort(signal, (reason) => waiting.abort(reason))
  using _bound = clock.after(READY_WITHIN_MS, () => waiting.abort(startFailed(`it was not ready within ${READY_WITHIN_MS} ms`)))
  void exited.then((how) => waiting.abort(startFailed(how)))
  while (!(await isReady(site, waiting.signal))) await clock.sleep(POLL_MS, waiting.signal)
}

/** SQLSTATEs of a server that is on its way: cannot_connect_now, and object_in_use by its own start-up. */
const NOT_YET: ReadonlySet<string> = new Set(['57P03', '55006'])

async function isReady({ socket, database }: ServerSite, signal: AbortSignal): Promise<boolean> {
  const target = { socketPath: socket.socketPath, user: POSTGRES_USER }
  const answer = await ask({ ...target, database }, undefined, signal)
  if (answer.type === 'done') return true
  if (answer.type === 'unreachable' || NOT_YET.has(answer.sqlState)) return false
  if (answer.sqlState !== UNKNOWN_DATABASE) throw refused(answer)
  const creation = `CREATE DATABASE "${database}"`
  const created = await ask({ ...target, database: 'postgres' }, creation, signal)
  if (created.type === 'refused') throw refused(created)
  return created.type === 'done'
}

const UNKNOWN_DATABASE = '3D000'

function refused(answer: Extract<WireAnswer, { readonly type: 'refused' }>): Error {
  return startFailed(`it answered ${answer.sqlState}: ${answer.message}`)
}

function startFailed(why: string): Error {
  return embeddedError('KEELSON_EMBEDDED_START_FAILED', `the embedded Postgres did not start: ${why}`)
}
