/**
 * Draining an HTTP server without failing a request.
 *
 * `http.Server.close` ends idle keep-alive connections at once, just when a client may be about to send, and that
 * client sees a reset (https://github.com/nodejs/node/issues/60617). So: stop accepting only, say `Connection: close`
 * with every answer, and end a connection when it has been quiet for a while.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import { every, systemClock, type Clock } from '../core/clock.ts'

export interface DrainOptions {
  /** When to cut what still runs, in milliseconds. */
  readonly timeoutMs: number
  /** How long a connection may be quiet before it is ended, in milliseconds. Default: 5_000. */
  readonly idleGraceMs?: number | undefined
}

export interface DrainOutcome {
  /** Requests that were still running at the timeout, and were cut. */
  readonly cutRequests: number
  /** Other connections that were still open at the timeout; upgraded ones among them. */
  readonly cutConnections: number
}

export interface Connections {
  readonly open: number
  /**
   * Ends when the last connection has ended, at the latest after `timeoutMs`. Never rejects; a second call joins the
   * first, but with an earlier timeout brings the end forward.
   */
  drain(options: DrainOptions): Promise<DrainOutcome>
}

/** How often a draining server looks for quiet connections, in milliseconds. */
const LOOK_EVERY_MS = 100

const IDLE_GRACE_MS = 5_000

/**
 * Follows the connections of `server`, so that it can be drained later. Call it before the server listens.
 * Costs one listener per connection and nothing per request.
 */
export function trackConnections(server: Server, clock: Clock = systemClock): Connections {
  const sockets = new Set<Socket>()
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', function follow(socket: Socket) {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  let draining: Draining | undefined
  return {
    get open() {
      return sockets.size
    },
    drain(options) {
      draining ??= new Draining(server, sockets, clock, options.idleGraceMs ?? IDLE_GRACE_MS)
      draining.endWithin(options.timeoutMs)
      return draining.done
    },
  }
}

class Draining {
  readonly done: Promise<DrainOutcome>
  readonly #sockets: ReadonlySet<Socket>
  readonly #clock: Clock
  readonly #idleGraceMs: number
  /** Per connection: how many bytes had passed, and when that last changed. */
  readonly #traffic = new Map<Socket, { bytes: number; at: number }>()
  #timeout: Disposable | undefined
  #outcome: DrainOutcome = { cutRequests: 0, cutConnections: 0 }

  constructor(server: Server, sockets: ReadonlySet<Socket>, clock: Clock, idleGraceMs: number) {
    this.#sockets = sockets
    this.#clock = clock
    this.#idleGraceMs = idleGraceMs
    server.prependListener('request', sayClose)
    for (const socket of sockets) {
      const response = responseOn(socket)
      if (response && !response.headersSent) response.setHeader('Connection', 'close')
    }
    this.#endQuietOnes()
    const looking = every(clock, LOOK_EVERY_MS, () => this.#endQuietOnes())
    const { promise, resolve } = Promise.withResolvers<DrainOutcome>()
    this.done = promise
    // The one of `net`: it stops accepting and waits, where the one of `http` also ends idle connections.
    NetServer.prototype.close.call(server, () => {
      looking[Symbol.dispose]()
      this.#timeout?.[Symbol.dispose]()
      resolve(this.#outcome)
    })
  }

  endWithin(timeoutMs: number): void {
    this.#timeout?.[Symbol.dispose]()
    this.#timeout = this.#clock.after(timeoutMs, () => this.#cut())
  }

  #endQuietOnes(): void {
    const now = this.#clock.now()
    for (const socket of this.#sockets) {
      const bytes = socket.bytesRead + socket.bytesWritten
      const last = this.#traffic.get(socket)
      if (responseOn(socket) || last?.bytes !== bytes) this.#traffic.set(socket, { bytes, at: now })
      else if (now - last.at >= this.#idleGraceMs) socket.destroy()
    }
  }

  #cut(): void {
    const busy = [...this.#sockets].filter((socket) => responseOn(socket)).length
    this.#outcome = { cutRequests: busy, cutConnections: this.#sockets.size - busy }
    for (const socket of this.#sockets) socket.destroy()
  }
}

function sayClose(_request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('Connection', 'close')
}

/** The answer being prepared or sent on a connection. Node keeps it under this name since its first versions. */
function responseOn(socket: Socket): ServerResponse | undefined {
  return (socket as Socket & { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined
}
