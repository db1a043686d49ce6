import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createFaultProxy, type FaultProxy } from '../../src/testing/fault-proxy.ts'

/** A server that sends back what it gets, and remembers it. */
async function echoServer() {
  let received = ''
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    socket.on('data', (chunk) => {
      received += chunk.toString()
      socket.write(chunk)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    target: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    received: () => received,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

const dial = ({ host, port }: FaultProxy): Socket => connect({ host, port }).on('error', () => {})

async function until(what: () => boolean, withinMs = 5_000): Promise<void> {
  for (const end = Date.now() + withinMs; !what(); await turn())
    assert.ok(Date.now() < end, `not within ${withinMs} ms: ${what.toString()}`)
}

async function codeOf(socket: Socket): Promise<unknown> {
  const [error] = (await once(socket, 'error').catch((e: unknown) => [e])) as [NodeJS.ErrnoException]
  return error.code
}

async function say(socket: Socket, text: string): Promise<string> {
  socket.write(text)
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  return chunk.toString()
}

test('pass: bytes go both ways, and the connection is listed', async () => {
  await using server = await echoServer()
  await using proxy = await createFaultProxy({ target: server.target })
  const client = dial(proxy)
  assert.equal(await say(client, 'hello'), 'hello')
  assert.deepEqual(
    proxy.connections.map(({ bytesUp, bytesDown }) => [bytesUp, bytesDown]),
    [[5, 5]],
  )
  client.end()
  await once(client, 'close')
  await until(() => proxy.connections.length === 0)
})

test('pass: a megabyte arrives whole and in order', async () => {
  await using server = await echoServer()
  await using proxy = await createFaultProxy({ target: server.target })
  const client = dial(proxy)
  const sent = Array.from({ length: 100_000 }, (_, i) => String(i).padStart(10)).join('')
  let got = ''
  client.on('data', (chunk) => (got += chunk.toString()))
  client.write(sent)
  await until(() => got.length === sent.length)
  assert.ok(got === sent)
})

test('refuse: new connections are refused, open ones go on, and the port comes back', async () => {
  await using server = await echoServer()
  await using proxy = await createFaultProxy({ target: server.target })
  const open = dial(proxy)
  await say(open, 'before')
  const { port } = proxy
  await proxy.set('refuse')
  assert.equal(await codeOf(dial(proxy)), 'ECONNREFUSED')
  assert.equal(await say(open, 'still here'), 'still here')
  await proxy.set('pass')
  assert.equal(proxy.port, port)
  assert.equal(await say(dial(proxy), 'again'), 'again')
})

test('hang: connects, but nothing arrives on either side until the mode changes', async () => {
  await using server = await echoServer()
  await using proxy = await createFaultProxy({ target: server.target })
  const open = dial(proxy)
  await say(open, 'a')
  await proxy.set('hang')
  const fresh = dial(proxy)
  await once(fresh, 'connect')
  await until(() => proxy.connections.length === 2)
  open.write('b')
  fresh.write('c')
  // A healthy connection of the same age shows that the time was enough for bytes to arrive.
  await using healthy = await createFaultProxy({ target: server.target })
  await say(dial(healthy), '!')
  assert.equal(server.received(), 'a!')
  await proxy.set('pass')
  await until(() => server.received().length === 4)
  assert.deepEqual(server.received().split('').toSorted(), ['!', 'a', 'b', 'c'])
})

test('latency: a round trip takes twice as long, and order is kept', async () => {
  await using server = await echoServer()
  await using proxy = await createFaultProxy({ target: server.target, mode: { latencyMs: 40 } })
  const client = dial(proxy)
  await once(client, 'connect')
  const startedAt = performance.now()
  let got = ''
  client.on('data', (chunk) => (got += chunk.toString()))
  for (const text of ['a', 'b', 'c']) {
    client.write(text)
    await turn()
  }
  await until(() => got === 'abc')
  // A timer may be a millisecond early.
  assert.ok(performance.now() - startedAt >= 78)
})

test('reset: open connections are reset, and new ones at once', async () => {
  await using server = await echoServer()
  await using proxy = await createFaultProxy({ target: server.target })
  const open = dial(proxy)
  await say(open, 'x')
  const reset = codeOf(open)
  await proxy.set('reset')
  assert.equal(await reset, 'ECONNRESET')
  assert.equal(await codeOf(dial(proxy)), 'ECONNRESET')
})

test('drop-reply: the server acts, the client never hears of it', async () => {
  await using server = await echoServer()
  await using proxy = await createFaultProxy({ target: server.target, mode: 'drop-reply' })
  const client = dial(proxy)
  client.write('pay')
  await until(() => proxy.connections[0]?.bytesDropped === 3)
  assert.equal(server.received(), 'pay')
  await proxy.set('pass')
  assert.equal(await say(client, '?'), '?')
  assert.equal(proxy.connections[0]?.bytesDown, 1)
})

test('one connection can be killed alone', async () => {
  await using server = await echoServer()
  await using proxy = await createFaultProxy({ target: server.target })
  const [doomed, spared] = [dial(proxy), dial(proxy)]
  await say(doomed, '1')
  const cut = codeOf(doomed)
  proxy.connections[0]!.kill()
  assert.equal(await cut, 'ECONNRESET')
  assert.equal(await say(spared, '2'), '2')
})

test('a target that is down looks like a reset', async () => {
  const server = await echoServer()
  const { target } = server
  await server[Symbol.asyncDispose]()
  await using proxy = await createFaultProxy({ target })
  assert.equal(await codeOf(dial(proxy)), 'ECONNRESET')
})

test('disposing while hung leaves no socket behind', async () => {
  await using server = await echoServer()
  const proxy = await createFaultProxy({ target: server.target, mode: 'hang' })
  const client = dial(proxy)
  await once(client, 'connect')
  await proxy[Symbol.asyncDispose]()
  await until(() => client.closed)
})

test('disposing in the middle of everything: closing, sending, and a client that does not read', async () => {
  await using server = await echoServer()
  await using proxy = await createFaultProxy({ target: server.target })
  const closing = dial(proxy)
  await say(closing, 'bye')
  closing.end()
  const deaf = dial(proxy).pause()
  deaf.write(Buffer.alloc(8_000_000))
  const fresh = dial(proxy)
  await once(fresh, 'connect')
  await until(() => proxy.connections.some(({ bytesDown }) => bytesDown > 1_000_000))
  await proxy[Symbol.asyncDispose]()
  assert.deepEqual(proxy.connections, [])
  for (const socket of [closing, deaf, fresh]) socket.destroy()
})
