/** Draining a server of one's own. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import Fastify from 'fastify'
import { trackConnections } from '../../src/supervisor/index.ts'
import { ManualClock } from '../../src/testing/index.ts'

const LONG_MS = 60_000
const GET = 'GET / HTTP/1.1\r\nHost: test\r\n\r\n'

test('an idle connection is not ended at once: a request on it is answered, with Connection: close', async () => {
  await using server = await listening(createServer((_request, response) => response.end('hello')))
  const connections = trackConnections(server, new ManualClock())
  const client = await open(server)
  assert.match(await ask(client), /connection: keep-alive/i)

  const port = portOf(server)
  const drained = connections.drain({ timeoutMs: LONG_MS })
  await assert.rejects(once(connect(port, '127.0.0.1'), 'connect'), /ECONNREFUSED/)
  assert.match(await ask(client), /connection: close/i)
  assert.deepEqual(await drained, { cutRequests: 0, cutConnections: 0 })
})

test('a quiet connection is ended 5 s after the last byte, no earlier', async () => {
  const clock = new ManualClock()
  await using server = await listening(createServer((_request, response) => response.end('hello')))
  const connections = trackConnections(server, clock)
  const client = await open(server)
  await ask(client)
  const drained = connections.drain({ timeoutMs: LONG_MS })
  await clock.advance(4_900)
  assert.equal(connections.open, 1)
  await clock.advance(200)
  assert.deepEqual(await drained, { cutRequests: 0, cutConnections: 0 })
  assert.equal(clock.pendingTimers, 0)
})

test('a request under way keeps its connection, and its answer says Connection: close', async () => {
  const clock = new ManualClock()
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  await using server = await listening(createServer((_request, response) => void released.then(() => response.end('hello'))))
  const connections = trackConnections(server, clock)
  const client = await open(server)
  const answer = ask(client)
  await once(server, 'request')
  const drained = connections.drain({ timeoutMs: LONG_MS })
  await clock.advance(LONG_MS / 2)
  release()
  assert.match(await answer, /connection: close[\s\S]*hello/i)
  assert.deepEqual(await drained, { cutRequests: 0, cutConnections: 0 })
})

test('at the timeout the rest is cut and counted, requests apart from connections', async () => {
  const clock = new ManualClock()
  await using server = await listening(createServer(() => {}))
  const connections = trackConnections(server, clock)
  const [busy, silent] = [await open(server), await open(server)]
  const closed = Promise.all([once(busy, 'close'), once(silent, 'close')])
  busy.write(GET)
  await once(server, 'request')
  const drained = connections.drain({ timeoutMs: 1_000 })
  await clock.advance(1_000)
  assert.deepEqual(await drained, { cutRequests: 1, cutConnections: 1 })
  await closed
  assert.equal(clock.pendingTimers, 0)
})

test('a second drain brings the end forward', async () => {
  const clock = new ManualClock()
  await using server = await listening(createServer(() => {}))
  const connections = trackConnections(server, clock)
  const client = await open(server)
  client.write(GET)
  await once(server, 'request')
  const drained = connections.drain({ timeoutMs: LONG_MS })
  assert.equal(connections.drain({ timeoutMs: 10 }), drained)
  await clock.advance(10)
  assert.equal((await drained).cutRequests, 1)
})

test('a Fastify server drains the same way, its answers too', async () => {
  const app = Fastify()
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>()
  app.get('/', async (_request, reply) => {
    arrive()
    await released
    return reply.header('x-test', 'yes').send({ hello: 'there' })
  })
  await app.ready()
  await using server = await listening(app.server)
  const connections = trackConnections(server, new ManualClock())
  const [early, late] = [await open(server), await open(server)]
  const before = ask(early)
  await arrived
  const drained = connections.drain({ timeoutMs: LONG_MS })
  release()
  for (const answer of [await before, await ask(late)])
    assert.match(answer, /^HTTP\/1.1 200 OK[\s\S]*connection: close[\s\S]*there/i)
  assert.deepEqual(await drained, { cutRequests: 0, cutConnections: 0 })
  await app.close()
})

async function listening(server: Server): Promise<Server & AsyncDisposable> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return Object.assign(server, {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  })
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port

/** A connection that the server has accepted. */
async function open(server: Server): Promise<Socket> {
  const accepted = once(server, 'connection')
  const socket = connect(portOf(server), '127.0.0.1').setEncoding('latin1')
  await accepted
  return socket
}

async function ask(socket: Socket): Promise<string> {
  socket.write(GET)
  const [answer] = (await once(socket, 'data')) as [string]
  return answer
}
