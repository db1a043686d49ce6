/** One connection through a fault proxy: carries bytes both ways, as the proxy's mode of the moment allows. */
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { untilAborted } from '../core/abort.ts'
import { systemClock } from '../core/clock.ts'

/**
 * `pass`: as if there were no proxy · `refuse`: nobody listens; open connections go on · `hang`: accepts, and forwards
 * nothing either way, nor that a side has closed · `reset`: every connection is reset at once · `drop-reply`: the target
 * gets every request, its answers vanish, and so does its closing · `latencyMs`: each chunk is late by so much, each way.
 */
export type FaultMode = 'pass' | 'refuse' | 'hang' | 'reset' | 'drop-reply' | { readonly latencyMs: number }

export type ProxyTarget = { readonly host: string; readonly port: number } | { readonly path: string }

/** What a connection must know of its proxy, which may change its mode at any time. */
export interface ProxyState {
  readonly target: ProxyTarget
  readonly mode: FaultMode
  /** Resolves at the next change of mode. */
  readonly modeChanged: Promise<void>
}

type Direction = 'up' | 'down'

/** Bytes held per direction before the sender is made to wait, as a real peer's buffers would make it. */
const MAX_HELD_BYTES = 65_536

export class ProxiedConnection {
  /** Bytes that reached the target. */
  bytesUp = 0
  /** Bytes that reached the client. */
  bytesDown = 0
  /** Bytes of answers that were dropped. */
  bytesDropped = 0
  /** Resolves when both sides are closed. */
  readonly closed: Promise<void>
  readonly #client: Socket
  readonly #proxy: ProxyState
  readonly #gone = new AbortController()
  #upstream: Socket | undefined

  constructor(client: Socket, proxy: ProxyState) {
    this.#client = client
    this.#proxy = proxy
    client.on('error', () => this.kill())
    const carrying = this.#open().catch(() => this.kill())
    this.closed = Promise.all([closing(client), carrying]).then(() => {})
  }

  /** Cuts the connection: the client sees a reset, or at least that it is closed. */
  kill(): void {
    this.#gone.abort(new Error('connection killed'))
    // Node can't reset a socket that is shutting down, and would wait for ever for one that doesn't read.
    if (this.#client.writableEnded || this.#client.writableLength > 0) this.#client.destroy()
    else this.#client.resetAndDestroy()
    this.#upstream?.destroy()
  }

  async #open(): Promise<void> {
    await this.#notDuring('hang')
    this.#gone.signal.throwIfAborted()
    const upstream = connect({ ...this.#proxy.target, allowHalfOpen: true })
    this.#upstream = upstream
    upstream.on('error', () => this.kill())
    this.#carry(this.#client, upstream, 'up')
    this.#carry(upstream, this.#client, 'down')
    await closing(upstream)
  }

  #carry(from: Socket, to: Socket, direction: Direction): void {
    let heldBytes = 0
    let last = Promise.resolve()
    // A chain, so that chunks stay in order while each has its own delay.
    const inTurn = (deliver: () => Promise<void>): void => {
      const arrivedAt = systemClock.now()
      last = last.then(() => this.#due(arrivedAt)).then(deliver)
      last.catch(() => this.kill())
    }
    from.on('data', (chunk: Buffer) => {
      heldBytes += chunk.length
      if (heldBytes > MAX_HELD_BYTES) from.pause()
      inTurn(async () => {
        await this.#deliver(chunk, to, direction)
        heldBytes -= chunk.length
        if (heldBytes <= MAX_HELD_BYTES) from.resume()
      })
    })
    from.on('end', () =>
      inTurn(async () => {
        if (direction === 'down') await this.#notDuring('drop-reply')
        to.end()
      }),
    )
  }

  async #deliver(chunk: Buffer, to: Socket, direction: Direction): Promise<void> {
    if (direction === 'down' && this.#proxy.mode === 'drop-reply') {
      this.bytesDropped += chunk.length
      return
    }
    if (direction === 'up') this.bytesUp += chunk.length
    else this.bytesDown += chunk.length
    if (!to.write(chunk)) await once(to, 'drain', { signal: this.#gone.signal })
  }

  /** Waits until what arrived at `arrivedAt` may go on. */
  async #due(arrivedAt: number): Promise<void> {
    await this.#notDuring('hang')
    const { mode } = this.#proxy
    if (typeof mode !== 'object') return
    const leftMs = arrivedAt + mode.latencyMs - systemClock.now()
    if (leftMs > 0) await systemClock.sleep(leftMs, this.#gone.signal)
  }

  async #notDuring(mode: FaultMode): Promise<void> {
    while (this.#proxy.mode === mode) await untilAborted(this.#proxy.modeChanged, this.#gone.signal)
  }
}

function closing(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.once('close', () => resolve())
  return promise
}
