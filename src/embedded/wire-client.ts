/**
 * As much of Postgres' protocol as a readiness check and one statement need, over a unix socket with trust
 * authentication. The guard must run where no driver is installed.
 * https://www.postgresql.org/docs/18/protocol-message-formats.html
 */
import { connect } from 'node:net'
import { untilAborted } from '../core/abort.ts'

export interface WireTarget {
  readonly socketPath: string
  readonly user: string
  readonly database: string
}

export type WireAnswer =
  | { readonly type: 'done' }
  | { readonly type: 'refused'; readonly sqlState: string; readonly message: string }
  | { readonly type: 'unreachable'; readonly message: string }

const PROTOCOL_3_0 = 196_608

/** Connects, runs `sql` if there is one, and leaves. It never rejects but with `signal.reason`. */
export function ask(target: WireTarget, sql: string | undefined, signal: AbortSignal): Promise<WireAnswer> {
  const { promise, resolve } = Promise.withResolvers<WireAnswer>()
  const socket = connect(target.socketPath)
  const statements = sql === undefined ? [] : [sql]
  let refusal: WireAnswer | undefined
  let received: Buffer = Buffer.alloc(0)

  socket.on('connect', () => socket.write(startupMessage(target)))
  socket.on('data', function readMessages(chunk: Buffer) {
    received = Buffer.concat([received, chunk])
    for (let length = messageLength(received); length > 0; length = messageLength(received)) {
      onMessage(String.fromCharCode(received[0] ?? 0), received.subarray(5, length))
      received = received.subarray(length)
    }
  })
  socket.on('error', (error) => resolve({ type: 'unreachable', message: error.message }))
  socket.on('close', () => resolve(refusal ?? { type: 'unreachable', message: 'the server closed the connection' }))

  function onMessage(type: string, body: Buffer): void {
    if (type === 'E') refusal = readRefusal(body)
    if (type !== 'Z') return
    const next = refusal ? undefined : statements.shift()
    if (next !== undefined) return void socket.write(message('Q', `${next}\0`))
    resolve(refusal ?? { type: 'done' })
    socket.end(message('X', ''))
  }

  return untilAborted(promise, signal).catch((reason: unknown) => {
    socket.destroy()
    throw reason
  })
}

/** @returns the length of the first message with its type byte, or 0 while it isn't all there. */
function messageLength(received: Buffer): number {
  if (received.length < 5) return 0
  const length = received.readInt32BE(1) + 1
  return received.length >= length ? length : 0
}

function startupMessage({ user, database }: WireTarget): Buffer {
  const parameters = Buffer.from(`user\0${user}\0database\0${database}\0\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(head.length + parameters.length, 0)
  head.writeInt32BE(PROTOCOL_3_0, 4)
  return Buffer.concat([head, parameters])
}

function message(type: string, text: string): Buffer {
  const body = Buffer.from(text)
  const head = Buffer.alloc(5)
  head.write(type, 0, 'latin1')
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

/** Fields are a letter and a string each: `C` is the SQLSTATE, `M` the message. */
function readRefusal(body: Buffer): WireAnswer {
  const fields = new Map(
    body
      .toString('utf8')
      .split('\0')
      .map((field) => [field[0] ?? '', field.slice(1)]),
  )
  return { type: 'refused', sqlState: fields.get('C') ?? '', message: fields.get('M') ?? '' }
}
