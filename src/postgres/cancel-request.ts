/**
 * Cancels what a connection is running, through the protocol's CancelRequest on a socket of its own.
 * Chosen over `pg_cancel_backend` on a control connection: 16 bytes instead of a login, and it works when
 * every connection the server allows is taken.
 * https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
 */
import { isIP, Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import pg from 'pg'
import { onAbort } from '../core/abort.ts'

/** What `pg` has and its types don't declare. */
interface Backend {
  readonly processID: number | null
  readonly secretKey: number | null
  readonly host: string
  readonly port: number
  readonly ssl: boolean | ConnectionOptions
  readonly sslNegotiation: 'postgres' | 'direct'
  readonly connection: Wire
}

interface Wire extends pg.Connection {
  connect(portOrPath: number | string, host?: string): void
  requestSsl(): void
  cancel(processId: number, secretKey: number): void
}

/**
 * Resolves when the server has closed the cancel socket: from then on the request can hit no later statement.
 * A request that fails resolves too, because the caller looks at the statement and sends another;
 * `signal` closes the socket.
 */
export function sendCancelRequest(client: pg.Client, signal: AbortSignal): Promise<void> {
  const backend = client as unknown as Backend
  const { processID, secretKey } = backend
  if (processID === null || secretKey === null || signal.aborted) return Promise.resolve()

  const { promise, resolve } = Promise.withResolvers<void>()
  const wire = openWire(backend)
  const send = (): void => wire.cancel(processID, secretKey)
  wire.on('connect', () => {
    if (!backend.ssl) send()
    else if (backend.sslNegotiation !== 'direct') wire.requestSsl()
  })
  wire.on('sslconnect', send)
  wire.on('error', () => wire.stream.destroy())
  wire.on('end', resolve)
  const listening = onAbort(signal, () => wire.stream.destroy())
  return promise.finally(() => listening[Symbol.dispose]())
}

/** Starts to connect to the very server the statement runs on: a name may lead elsewhere the second time. */
function openWire(backend: Backend): Wire {
  const { host, port, sslNegotiation } = backend
  const options = { ssl: sslFor(backend), sslNegotiation }
  const wire = new pg.Connection(options as pg.ConnectionConfig) as Wire
  if (host.startsWith('/')) wire.connect(`${host}/.s.PGSQL.${port}`)
  else wire.connect(port, addressOf(backend) ?? host)
  return wire
}

function addressOf({ connection }: Backend): string | undefined {
  return connection.stream instanceof Socket ? connection.stream.remoteAddress : undefined
}

/** The connection's TLS settings; the certificate is still checked against the name, though we dial the address. */
function sslFor({ ssl, host }: Backend): boolean | ConnectionOptions {
  if (!ssl) return false
  const given = ssl === true ? {} : ssl
  // `pg` makes `key` non-enumerable, so the spread alone would lose it.
  const key = given.key === undefined ? {} : { key: given.key }
  return isIP(host) ? { ...given, ...key } : { servername: host, ...given, ...key }
}
