import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import Fastify from 'fastify'
import { guard, SERVER_DEFAULTS, serverOptions } from '../../src/http/guard/index.ts'
import { dial, exchange, soon, startBorder } from './border-harness.ts'

const get = (target: string, host = 'a.example', extra = ''): string => `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${extra}\r\n`

const GOOD: readonly (readonly [string, string])[] = [
  ['a plain request', get('/ping')],
  ['a Host with a port', get('/ping', 'a.example:8080')],
  ['an IPv6 Host', get('/ping', '[::1]:3000')],
  ['HTTP/1.0 without Host', 'GET /ping HTTP/1.0\r\n\r\n'],
  ['a request line with the same host', get('http://A.example/ping')],
  ['headers that may repeat', get('/ping', 'a', 'Accept: text/html\r\nAccept: */*\r\nCookie: a=1\r\nCookie: b=2\r\n')],
  ['a query that has been escaped', get('/ping?q=a%2Fb%20..%2F')],
  ['a file that begins with a dot', get('/ping?path=/.well-known/x')],
  ['an upgrade that is not offered', get('/ping', 'a', 'Connection: Upgrade\r\nUpgrade: h2c\r\n')],
  ['100 headers', get('/ping', 'a', Array.from({ length: 99 }, (_, i) => `X-${i}: 1\r\n`).join(''))],
]

for (const [what, bytes] of GOOD) {
  test(`${what} is let through`, async () => {
    await using border = await startBorder()
    const answer = await border.send(bytes)
    assert.equal(answer.status, 200, answer.text)
  })
}

test('bodies in chunks are let through', async () => {
  await using border = await startBorder()
  const head = 'POST /any HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: Chunked\r\n\r\n'
  assert.equal((await border.send(head + '2\r\n{}\r\n0\r\n\r\n')).body, '{"got":{}}')
})

test('a body announced by Expect: 100-continue is let through', async () => {
  await using border = await startBorder()
  const socket = await dial(border.port)
  socket.write(
    'POST /any HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n',
  )
  const [interim] = (await once(socket, 'data', soon())) as [Buffer]
  assert.match(String(interim), /^HTTP\/1.1 100 /)
  socket.write('{}')
  const [answer] = (await once(socket, 'data', soon())) as [Buffer]
  assert.match(String(answer), /^HTTP\/1.1 200 /)
  socket.destroy()
})

test('where hosts are listed, others are a 421, and case, a last dot and any port make no difference', async () => {
  await using border = await startBorder({ guard: { allowedHosts: ['api.example', 'admin.example:8443'] } })
  const status = async (host: string): Promise<number> => (await border.send(get('/ping', host))).status
  for (const host of ['api.example', 'API.example', 'api.example.', 'api.example:1234', 'admin.example:8443']) {
    assert.equal(await status(host), 200, host)
  }
  for (const host of ['evil.example', 'api.example.evil.example', 'xapi.example', 'admin.example', 'admin.example:1']) {
    assert.equal(await status(host), 421, host)
  }
  assert.equal((await border.send('GET /ping HTTP/1.0\r\n\r\n')).status, 400)
})

test('a refused connection is closed, a good one stays open', async () => {
  await using border = await startBorder()
  assert.equal((await border.send(get('/users/%2f'))).headers['connection'], 'close')
  assert.notEqual((await border.send(get('/ping'))).headers['connection'], 'close')
})

test('slashes may be escaped where the service says so', async () => {
  await using border = await startBorder({ guard: { allowEncodedSlash: true } })
  assert.equal((await border.send(get('/users/a%2Fb'))).body, '{"id":"a/b"}')
})

test('a request that arrives while the server closes gets a 503 of ours', async () => {
  const arrived = Promise.withResolvers<void>()
  const go = Promise.withResolvers<void>()
  await using border = await startBorder({
    routes(app) {
      app.get('/slow', async () => {
        arrived.resolve()
        await go.promise
        return 'done'
      })
      app.get('/ping', async () => 'ok')
    },
  })
  const socket = await dial(border.port)
  let text = ''
  socket.on('data', (chunk) => (text += String(chunk)))
  socket.write(get('/slow'))
  await arrived.promise
  const closed = border.app.close()
  await new Promise(setImmediate)
  socket.write(get('/ping'))
  go.resolve()
  await once(socket, 'close', soon())
  await closed
  assert.match(text, /^HTTP\/1.1 200 .*done/s)
  assert.match(text, /HTTP\/1.1 503 .*"code":"KEELSON_UNAVAILABLE"/s)
  assert.match(text, /retry-after: [1-3]\r\n/i)
})

test('the guard works alone in an app that has nothing else of Keelson', async () => {
  await using app = Fastify(serverOptions())
  await app.register(guard)
  app.get('/', async () => 'ok')
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as { port: number }
  assert.equal((await exchange(port, get('/'))).body, 'ok')
  assert.equal((await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n')).status, 400)
})

test("none of Node's limits is off", async () => {
  await using app = Fastify(serverOptions())
  await app.register(guard)
  await app.ready()
  const { server } = app
  assert.equal(server.requestTimeout, SERVER_DEFAULTS.requestTimeoutMs)
  assert.equal(server.headersTimeout, SERVER_DEFAULTS.headersTimeoutMs)
  assert.equal(server.keepAliveTimeout, SERVER_DEFAULTS.keepAliveTimeoutMs)
  assert.equal(server.timeout, SERVER_DEFAULTS.connectionTimeoutMs)
  assert.equal(server.maxRequestsPerSocket, SERVER_DEFAULTS.maxRequestsPerSocket)
  assert.equal(server.maxHeadersCount, 100)
  assert.equal(server.maxConnections, 10_000)
  assert.equal(app.initialConfig.bodyLimit, SERVER_DEFAULTS.bodyLimitBytes)
})

test('limits can be set, and nonsense is refused by name', () => {
  assert.equal(serverOptions({ requestTimeoutMs: 5_000 }).http.headersTimeout, 5_000, 'no longer than the whole')
  assert.deepEqual(serverOptions({ trustProxy: ['10.0.0.0/8'] }).trustProxy, ['10.0.0.0/8'])
  assert.throws(() => serverOptions({ requestTimeoutMs: 0 }), /requestTimeoutMs/)
  assert.throws(() => serverOptions({ trustProxy: true as never }), /trustProxy/)
  assert.throws(() => serverOptions({ bodyLimit: 1 } as never), /bodyLimit/)
})

test('a number of proxies is counted from our side', async () => {
  await using app = Fastify(serverOptions({ trustProxy: 1 }))
  app.get('/', async (request) => ({ ip: request.ip, protocol: request.protocol }))
  const forwarded = { 'x-forwarded-for': '6.6.6.6, 198.51.100.7', 'x-forwarded-proto': 'https' }
  const reply = await app.inject({ url: '/', headers: forwarded })
  assert.deepEqual(reply.json(), { ip: '198.51.100.7', protocol: 'https' })
})

test('hosts that cannot be are refused at boot', async () => {
  await using app = Fastify()
  await assert.rejects(async () => app.register(guard, { allowedHosts: ['https://a.example/'] }), /allowedHosts/)
})

test('connections over the limit are closed', async () => {
  await using border = await startBorder({ guard: { maxConnections: 1 } })
  const first = await dial(border.port)
  const answer = await border.send(get('/ping'))
  assert.equal(answer.text, '')
  first.destroy()
})
