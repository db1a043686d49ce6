/** The owner's end of the guard process: starts it, hears its reports, and lets it go. */
import { spawn, type ChildProcess } from 'node:child_process'
import { Socket } from 'node:net'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { KeelsonError } from '../core/errors.ts'
import { embeddedError } from './errors.ts'
import type { EmbeddedStep, GuardOrder, GuardReport, ServerFacts } from './guard-protocol.ts'

export interface Guard {
  readonly ready: Promise<ServerFacts>
  /** Resolves when its process is gone, with why. */
  readonly ended: Promise<KeelsonError>
  /** Tells it to stop the server and to end. */
  dismiss(): void
  kill(): void
  /** From here on the owner may end without stopping the server: the guard will. */
  unref(): void
  ref(): void
}

export function startGuard(order: GuardOrder, onProgress: ((step: EmbeddedStep) => void) | undefined): Guard {
  const child = spawnGuard(order)
  const ready = Promise.withResolvers<ServerFacts>()
  let failure: KeelsonError | undefined
  child.on('message', function onReport(message) {
    const report = message as GuardReport
    if (report.type === 'progressed') onProgress?.(report.step)
    else if (report.type === 'ready') ready.resolve(report.facts)
    else failure = embeddedError(report.failure.code, report.failure.message, report.failure.details)
  })
  return {
    ready: ready.promise,
    ended: whenEnded(child).then((lost) => failure ?? lost),
    dismiss: () => void (child.connected && child.disconnect()),
    kill: () => void child.kill('SIGKILL'),
    unref: () => handlesOf(child).forEach((handle) => handle.unref()),
    ref: () => handlesOf(child).forEach((handle) => handle.ref()),
  }
}

/** Sources run as they are, the built package as JavaScript: the guard is this file's neighbour of the same kind. */
function spawnGuard(order: GuardOrder): ChildProcess {
  const file = fileURLToPath(new URL(`./guard${extname(import.meta.url)}`, import.meta.url))
  const { NODE_OPTIONS: _meantForTheOwner, ...env } = process.env
  return spawn(process.execPath, [file, JSON.stringify(order)], {
    cwd: '/',
    env,
    // No descriptor of the owner's but the channel: who reads the owner's output must not have to wait for the guard's end.
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    detached: true,
  })
}

function whenEnded(child: ChildProcess): Promise<KeelsonError> {
  let complaints = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaints = (complaints + text).slice(-4_096)))
  const silent = new Promise((resolve) => child.stderr?.on('close', resolve))
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(guardLost(error.message)))
    // Not on `close`, which doesn't come when this side has closed the channel.
    child.on('exit', (code, signal) => {
      void silent.then(() => resolve(guardLost(`it ended with ${code ?? signal}. ${complaints}`.trim())))
    })
  })
}

function guardLost(why: string): KeelsonError {
  return embeddedError('KEELSON_EMBEDDED_EXITED', `the guard of the embedded Postgres is gone: ${why}`)
}

/** What keeps the owner's process alive while it is open. */
function handlesOf(child: ChildProcess): readonly { ref(): unknown; unref(): unknown }[] {
  const complaints = child.stderr instanceof Socket ? [child.stderr] : []
  return [child, ...complaints, ...(child.channel ? [child.channel] : [])]
}
