/**
 * The service's listening socket, held by a process that never accepts on it.
 * Node always accepts on what it listens to, so a short-lived opener binds the socket and passes the descriptor over.
 * Whoever holds it keeps the port: with no worker alive, connections wait in the kernel's backlog.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { listenFailed } from './errors.ts'

export interface ListenAddress {
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
}

export interface Listener extends Disposable {
  /** Where it really listens, the port chosen by the system included. */
  readonly address: AddressInfo
  /** The descriptor to hand to workers; valid until disposed. */
  readonly fd: number
}

/** Connections that wait while nobody accepts; the kernel may allow fewer (`net.core.somaxconn`). */
export const BACKLOG = 1_024

type Answer = { readonly address: AddressInfo } | { readonly reason: string }

/** The part of Node's own socket handle that is used here. */
interface Handle {
  readonly fd: number
  close(): void
}

/**
 * Binds `address` and returns the descriptor.
 * @throws KeelsonError `KEELSON_LISTEN_FAILED` naming host, port and reason.
 */
export async function openListener(address: ListenAddress, signal?: AbortSignal): Promise<Listener> {
  signal?.throwIfAborted()
  const opener = startOpener(address)
  const abort = (): void => void opener.kill('SIGKILL')
  signal?.addEventListener('abort', abort, { once: true })
  try {
    const [answer, handle] = await answerOf(opener)
    if (signal?.aborted) {
      handle?.close()
      throw signal.reason
    }
    if ('reason' in answer) throw listenFailed({ listener: 'public', ...address, reason: answer.reason })
    if (!handle) throw listenFailed({ listener: 'public', ...address, reason: 'the descriptor did not arrive' })
    return { address: answer.address, fd: handle.fd, [Symbol.dispose]: () => handle.close() }
  } finally {
    signal?.removeEventListener('abort', abort)
    opener.kill('SIGKILL')
  }
}

/**
 * The opener's code goes in as text: a file would have to be found both in the sources and in the build,
 * and stripping its types doubles the time (61 against 31 ms, Node 26).
 */
function startOpener({ host, port }: ListenAddress): ChildProcess {
  const script = `(${bindAndSend.toString()})(${JSON.stringify({ host, port, backlog: BACKLOG })}, ${process.pid})`
  return spawn(process.execPath, ['-e', script], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // Preloads and debuggers meant for the service have no business here.
    env: { ...process.env, NODE_OPTIONS: '' },
  })
}

/** Runs in the opener; sees nothing of this module. Whenever the process that asked has died, the opener ends too. */
function bindAndSend(where: { host: string; port: number; backlog: number }, askerPid: number): void {
  const server = process.getBuiltinModule('node:net').createServer()
  const answer = (message: object, handle?: never): void => {
    process.send?.(message, handle)
    // Blocks until killed: another turn of the event loop would accept a connection, and lose it.
    const never = new Int32Array(new SharedArrayBuffer(4))
    while (process.ppid === askerPid) Atomics.wait(never, 0, 0, 50)
    process.exit()
  }
  process.on('disconnect', () => process.exit())
  server.on('error', (error: NodeJS.ErrnoException) => answer({ reason: error.code ?? error.message }))
  server.listen(where, () => answer({ address: server.address() }, (server as unknown as { _handle: never })._handle))
}

async function answerOf(opener: ChildProcess): Promise<[Answer, Handle | undefined]> {
  const answered = once(opener, 'message') as Promise<[Answer, Handle | undefined]>
  const ended = once(opener, 'exit').then<[Answer, undefined]>(([code, signal]) => [
    { reason: `the opener ended early (${signal ?? code})` },
    undefined,
  ])
  return Promise.race([answered, ended])
}
