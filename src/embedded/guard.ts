/**
 * A process of its own that starts Postgres, and stops it when its owner disconnects: by disposing the server, by leaving, or
 * by being killed, for then the system closes the channel. It leads a session of its own, so Ctrl-C doesn't reach it.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { isKeelsonError } from '../core/errors.ts'
import { systemClock } from '../core/clock.ts'
import { onAbort } from '../core/abort.ts'
import { chooseAccount } from './account.ts'
import { createCluster, POSTGRES_USER, type ClusterSite } from './create-cluster.ts'
import { hasCluster, prepareDataFolder } from './data-folder.ts'
import { embeddedError, type EmbeddedErrorCode } from './errors.ts'
import { holdFolder } from './folder-hold.ts'
import type { EmbeddedStep, GuardOrder, GuardReport } from './guard-protocol.ts'
import { findRunnableBinaries } from './runnable-binaries.ts'
import { startServer, type PostgresServer } from './server.ts'
import { makeSocketFolder, POSTGRES_PORT, type SocketFolder } from './socket-folder.ts'

const clock = systemClock

async function guard(order: GuardOrder, signal: AbortSignal): Promise<void> {
  const account = chooseAccount(join(order.dataFolder, 'data'))
  prepareDataFolder(order.dataFolder, account)
  using _hold = await holdFolder(order, clock, signal)
  progress('preparing binaries')
  const { folder: binaries, version } = findRunnableBinaries(order.binaries, order.dataFolder, account)
  const site: ClusterSite = { dataFolder: order.dataFolder, binaries, account, durable: order.durable }
  const firstStart = !hasCluster(order.dataFolder, version, account)
  using _volatile = firstStart && !order.durable ? removal(order.dataFolder) : undefined
  if (firstStart) {
    progress('creating the database cluster')
    await createCluster(site, signal)
  }
  progress('starting')
  using socket = makeSocketFolder(order.dataFolder, account)
  await using server = await startServer({ ...site, socket, database: order.database }, clock, signal)
  progress('ready')
  const url = connectionString(order.database, socket)
  await report({ type: 'ready', facts: { url, version, firstStart, postmaster: server.postmaster } })
  await untilTold(signal, server)
}

function removal(folder: string): Disposable {
  return { [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) }
}

/** The user's PGPORT must not change what the socket is called, nor PGSSLMODE ask for what a socket doesn't have. */
function connectionString(database: string, socket: SocketFolder): string {
  const where = `host=${encodeURIComponent(socket.path)}&sslmode=disable`
  return `postgres://${POSTGRES_USER}@localhost:${POSTGRES_PORT}/${encodeURIComponent(database)}?${where}`
}

async function untilTold(signal: AbortSignal, server: PostgresServer): Promise<void> {
  const told = new Promise<undefined>((resolve) => void onAbort(signal, () => resolve(undefined)))
  const how = await Promise.race([told, server.exited])
  if (how !== undefined) throw embeddedError('KEELSON_EMBEDDED_EXITED', `the embedded Postgres stopped by itself: ${how}`)
}

function progress(step: EmbeddedStep): void {
  void report({ type: 'progressed', step })
}

/** Resolves when the message is out, or nobody is there to hear it. */
function report(message: GuardReport): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (process.connected && process.send) process.send(message, undefined, {}, () => resolve())
  else resolve()
  return promise
}

async function reportFailure(error: unknown): Promise<void> {
  const { code, message, details } = isKeelsonError(error)
    ? error
    : embeddedError('KEELSON_EMBEDDED_START_FAILED', `the embedded Postgres did not start: ${String(error)}`)
  await report({ type: 'failed', failure: { code: code as EmbeddedErrorCode, message, details } })
}

async function main(): Promise<void> {
  const left = new AbortController()
  const leave = (): void => left.abort(new Error('the owner left'))
  process.once('disconnect', leave).once('SIGTERM', leave).on('SIGINT', ignore).on('SIGHUP', ignore)
  if (!process.connected) leave()
  try {
    await guard(JSON.parse(process.argv[2] ?? '') as GuardOrder, left.signal)
  } catch (error) {
    if (!left.signal.aborted) await reportFailure(error)
  }
  if (process.connected) process.disconnect?.()
}

function ignore(): void {}

await main()
