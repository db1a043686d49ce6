/** A TCP proxy between a client and a real server that can be told to misbehave, at run time. For tests and drills. */
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { ProxiedConnection, type FaultMode, type ProxyTarget } from './proxied-connection.ts'

export interface FaultProxyOptions {
  /** The real server: a TCP address, or the path of a unix socket. */
  readonly target: ProxyTarget
  /** Port on 127.0.0.1; 0 takes a free one. Default: 0. */
  readonly port?: number
  /** Default: `pass`. */
  readonly mode?: FaultMode
}

export interface FaultProxy extends AsyncDisposable {
  readonly host: string
  /** Stays the same while the proxy refuses connections. */
  readonly port: number
  readonly mode: FaultMode
  /** The connections that are open now, oldest first. */
  readonly connections: readonly ProxiedConnection[]
  /** Resolves once the mode is in force, for open connections too. */
  set(mode: FaultMode): Promise<void>
  /** Resets every open connection. */
  killAll(): void
  /** Resets every connection and stops listening. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Listens on 127.0.0.1. */
export async function createFaultProxy({ target, port = 0, mode = 'pass' }: FaultProxyOptions): Promise<FaultProxy> {
  const proxy = new TcpFaultProxy(target, port)
  // Once as `pass`, because the port must be known even if it is refused from the start.
  await proxy.set('pass')
  await proxy.set(mode)
  return proxy
}

class TcpFaultProxy implements FaultProxy {
  readonly host = '127.0.0.1'
  readonly target: ProxyTarget
  mode: FaultMode = 'pass'
  #port: number
  #server: Server | undefined
  #change: PromiseWithResolvers<void> = Promise.withResolvers<void>()
  readonly #connections = new Set<ProxiedConnection>()

  constructor(target: ProxyTarget, port: number) {
    this.target = target
    this.#port = port
  }

  get port(): number {
    return this.#port
  }

  get connections(): readonly ProxiedConnection[] {
    return [...this.#connections]
  }

  get modeChanged(): Promise<void> {
    return this.#change.promise
  }

  async set(mode: FaultMode): Promise<void> {
    this.mode = mode
    if (mode === 'reset') this.killAll()
    if (mode === 'refuse') this.#stopListening()
    else if (!this.#server) await this.#listen()
    this.#change.resolve()
    this.#change = Promise.withResolvers<void>()
  }

  killAll(): void {
    for (const connection of this.#connections) connection.kill()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopListening()
    this.killAll()
    await Promise.all(this.connections.map((connection) => connection.closed))
  }

  async #listen(): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket))
    this.#server = server
    server.listen(this.#port, this.host)
    await once(server, 'listening')
    this.#port = (server.address() as AddressInfo).port
  }

  /** Closes the listening socket at once; open connections are not its business. */
  #stopListening(): void {
    this.#server?.close()
    this.#server = undefined
  }

  #accept(socket: Socket): void {
    if (this.mode === 'reset') {
      socket.resetAndDestroy()
      return
    }
    const connection = new ProxiedConnection(socket, this)
    this.#connections.add(connection)
    void connection.closed.then(() => this.#connections.delete(connection))
  }
}
