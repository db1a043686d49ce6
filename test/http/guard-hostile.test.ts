/** What arrives at a public port. Each must get a 4xx problem of ours: never a 5xx, a hang or a crash. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import Fastify from 'fastify'
import { onResponseEnd } from '../../src/core/response-end.ts'
import { errors } from '../../src/http/errors/index.ts'
import { guard, serverOptions } from '../../src/http/guard/index.ts'
import { dial, soon, startBorder, type Answer, type Border } from './border-harness.ts'

const get = (target: string, extra = ''): string => `GET ${target} HTTP/1.1\r\nHost: a.example\r\n${extra}\r\n`
const post = (body: string | Buffer, type = 'application/json', target = '/any'): Buffer =>
  Buffer.concat([
    Buffer.from(`POST ${target} HTTP/1.1\r\nHost: a.example\r\n${type === '' ? '' : `Content-Type: ${type}\r\n`}`),
    Buffer.from(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`),
    Buffer.from(body),
  ])
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
const keys = (count: number): string => JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 1])))

/** Name, bytes, status, and the code or the rule that the answer must name. */
const HOSTILE: readonly (readonly [string, string | Buffer, number, string])[] = [
  // The request line and its URL.
  ['a path that nobody serves', get('/nope'), 404, 'KEELSON_NOT_FOUND'],
  ['a method that the path does not take', 'DELETE /ping HTTP/1.1\r\nHost: a\r\n\r\n', 405, 'KEELSON_METHOD_NOT_ALLOWED'],
  ['TRACE', 'TRACE /ping HTTP/1.1\r\nHost: a\r\n\r\n', 405, 'KEELSON_METHOD_NOT_ALLOWED'],
  ['TRACE of nothing', 'TRACE /nope HTTP/1.1\r\nHost: a\r\n\r\n', 404, 'KEELSON_NOT_FOUND'],
  ['CONNECT', 'CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n', 400, 'KEELSON_CONNECT_REFUSED'],
  ['a method that does not exist', 'FOO /ping HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'KEELSON_REQUEST_MALFORMED'],
  ['a request line without version', 'GET /ping\r\n\r\n', 400, 'KEELSON_HTTP_VERSION_UNSUPPORTED'],
  ['HTTP/2.0 in the request line', 'GET /ping HTTP/2.0\r\nHost: a\r\n\r\n', 400, 'KEELSON_HTTP_VERSION_UNSUPPORTED'],
  ['HTTP/9.9', 'GET /ping HTTP/9.9\r\nHost: a\r\n\r\n', 400, 'KEELSON_REQUEST_MALFORMED'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'KEELSON_REQUEST_MALFORMED'],
  ['TLS on a plain port', Buffer.from([0x16, 3, 1, 0, 0xa5, 1, 0, 0]), 400, 'KEELSON_REQUEST_MALFORMED'],
  ['OPTIONS *', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'KEELSON_REQUEST_MALFORMED'],
  ['a NUL in the path', get('/users/%00'), 400, 'KEELSON_URL_MALFORMED'],
  ['a NUL in the query', get('/search?q=%00'), 400, 'KEELSON_URL_MALFORMED'],
  ['a raw NUL in the path', get('/users/\0'), 400, 'KEELSON_REQUEST_MALFORMED'],
  ['half an escape in the path', get('/users/%zz'), 400, 'KEELSON_URL_MALFORMED'],
  ['half an escape in the query', get('/search?q=%z'), 400, 'KEELSON_URL_MALFORMED'],
  ['an overlong escape', get('/users/%c0%af'), 400, 'KEELSON_URL_MALFORMED'],
  ['an escaped slash', get('/users/a%2Fb'), 400, 'KEELSON_URL_MALFORMED'],
  ['an escaped backslash', get('/users/a%5cb'), 400, 'KEELSON_URL_MALFORMED'],
  ['a way up', get('/users/../ping'), 400, 'KEELSON_URL_MALFORMED'],
  ['an escaped way up', get('/users/%2e%2e'), 400, 'KEELSON_URL_MALFORMED'],
  ['a long URL', get(`/search?q=${'a'.repeat(8_200)}`), 414, 'KEELSON_URL_TOO_LONG'],
  ['a long parameter', get(`/users/${'a'.repeat(101)}`), 414, 'KEELSON_URL_TOO_LONG'],
  ['a space in the path', get('/users/a b'), 400, 'KEELSON_REQUEST_MALFORMED'],

  // Host.
  ['no Host', 'GET /ping HTTP/1.1\r\n\r\n', 400, 'KEELSON_REQUEST_MALFORMED'],
  ['an empty Host', 'GET /ping HTTP/1.1\r\nHost:\r\n\r\n', 400, 'KEELSON_REQUEST_MALFORMED'],
  ['two Hosts', get('/ping', 'Host: b.example\r\n'), 400, 'KEELSON_REQUEST_MALFORMED'],
  ['the same Host twice', get('/ping', 'Host: a.example\r\n'), 400, 'KEELSON_REQUEST_MALFORMED'],
  ['an invalid Host', 'GET /ping HTTP/1.1\r\nHost: a b@c/\r\n\r\n', 400, 'KEELSON_REQUEST_MALFORMED'],
  ['a Host with a path', 'GET /ping HTTP/1.1\r\nHost: a.example/x\r\n\r\n', 400, 'KEELSON_REQUEST_MALFORMED'],
  ['another host in the request line', get('http://b.example/ping'), 400, 'KEELSON_REQUEST_MALFORMED'],
  ['a user in the request line', get('http://u@a.example/ping'), 400, 'KEELSON_REQUEST_MALFORMED'],

  // Framing and headers.
  [
    'Transfer-Encoding: gzip, chunked',
    'POST /any HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    400,
    'KEELSON_REQUEST_MALFORMED',
  ],
  [
    'Transfer-Encoding: identity',
    'POST /any HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n',
    400,
    'KEELSON_REQUEST_MALFORMED',
  ],
  [
    'Transfer-Encoding in HTTP/1.0',
    'POST /any HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
    'KEELSON_REQUEST_MALFORMED',
  ],
  [
    'both lengths',
    'POST /any HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX',
    400,
    'KEELSON_REQUEST_MALFORMED',
  ],
  [
    'two Content-Lengths',
    'POST /any HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}',
    400,
    'KEELSON_REQUEST_MALFORMED',
  ],
  ['a signed Content-Length', 'POST /any HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}', 400, 'KEELSON_REQUEST_MALFORMED'],
  [
    'a bad chunk',
    'POST /any HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    400,
    'KEELSON_REQUEST_MALFORMED',
  ],
  [
    'chunk extensions without end',
    `POST /any HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1;${'a'.repeat(20_000)}\r\n`,
    413,
    'KEELSON_BODY_TOO_LARGE',
  ],
  ['a folded header', get('/ping', 'X-A: b\r\n c\r\n'), 400, 'KEELSON_REQUEST_MALFORMED'],
  ['a bare line feed', 'GET /ping HTTP/1.1\nHost: a\n\n', 400, 'KEELSON_REQUEST_MALFORMED'],
  ['a space before the colon', get('/ping', 'X-A : b\r\n'), 400, 'KEELSON_REQUEST_MALFORMED'],
  ['headers over the limit', get('/ping', `X-A: ${'a'.repeat(20_000)}\r\n`), 431, 'KEELSON_HEADERS_TOO_LARGE'],
  ['101 headers', get('/ping', 'X-A: b\r\n'.repeat(101)), 431, 'KEELSON_HEADERS_TOO_LARGE'],
  ['two Authorizations', get('/ping', 'Authorization: a\r\nAuthorization: b\r\n'), 400, 'KEELSON_REQUEST_MALFORMED'],
  ['an unknown expectation', get('/ping', 'Expect: the-moon\r\n'), 417, 'KEELSON_EXPECTATION_FAILED'],
  ['a type that nobody answers', get('/ping', 'Accept: application/xml\r\n'), 406, 'KEELSON_NOT_ACCEPTABLE'],

  // Media types.
  [
    'a compressed body',
    Buffer.from(
      'POST /any HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}',
    ),
    415,
    'KEELSON_CONTENT_ENCODING_UNSUPPORTED',
  ],
  ['text', post('hello', 'text/plain'), 415, 'KEELSON_MEDIA_TYPE_UNSUPPORTED'],
  ['a form', post('a=b', 'application/x-www-form-urlencoded'), 415, 'KEELSON_MEDIA_TYPE_UNSUPPORTED'],
  [
    'XML with entities',
    post('<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', 'application/xml'),
    415,
    'KEELSON_MEDIA_TYPE_UNSUPPORTED',
  ],
  ['parts', post('--x--', 'multipart/form-data; boundary=x'), 415, 'KEELSON_MEDIA_TYPE_UNSUPPORTED'],
  ['a body of no type', post('{}', ''), 415, 'KEELSON_MEDIA_TYPE_UNSUPPORTED'],
  ['a type that is none', post('{}', ';;;'), 415, 'KEELSON_MEDIA_TYPE_UNSUPPORTED'],
  [
    'JSON in UTF-16',
    post(Buffer.from('{}', 'utf16le'), 'application/json; charset=utf-16'),
    415,
    'KEELSON_MEDIA_TYPE_UNSUPPORTED',
  ],
  ['JSON in two charsets', post('{}', 'application/json; charset=utf-8; charset=utf-7'), 415, 'KEELSON_MEDIA_TYPE_UNSUPPORTED'],

  // JSON.
  ['an empty JSON body', post(''), 400, 'empty'],
  ['a body over the limit', post(JSON.stringify('a'.repeat(102_400))), 413, 'KEELSON_BODY_TOO_LARGE'],
  ['half a JSON text', post('{"a":'), 400, 'syntax'],
  ['33 levels', post(nested(33)), 400, 'too_deep'],
  ['50,000 levels', post(nested(50_000)), 400, 'too_deep'],
  ['1,001 names', post(keys(1_001)), 400, 'too_many_keys'],
  ['10,001 elements', post(JSON.stringify(Array(10_001).fill(0))), 400, 'too_many_items'],
  ['a string over 64 KiB', post(JSON.stringify('a'.repeat(65_537))), 400, 'string_too_long'],
  ['the same name twice', post('{"a":1,"a":2}'), 400, 'duplicate_key'],
  ['the same name twice, escaped', post('{"x":[{"a":1,"\\u0061":2}]}'), 400, 'duplicate_key'],
  ['__proto__', post('{"__proto__":{"admin":true}}'), 400, 'forbidden_name'],
  ['__proto__, escaped', post('{"\\u005f_proto__":{}}'), 400, 'forbidden_name'],
  ['constructor.prototype', post('{"a":{"constructor":{"prototype":{}}}}'), 400, 'forbidden_name'],
  ['a NUL, escaped', post('{"a":"\\u0000"}'), 400, 'nul'],
  ['a NUL, raw', post('{"a":"\0"}'), 400, 'nul'],
  ['half a surrogate pair', post('{"a":"\\ud800"}'), 400, 'lone_surrogate'],
  ['invalid UTF-8', post(Buffer.from([0x22, 0xff, 0x22])), 400, 'invalid_utf8'],
  ['a surrogate in UTF-8', post(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])), 400, 'invalid_utf8'],
  ['a byte order mark', post('\ufeff{}'), 400, 'byte_order_mark'],
  ['a number over all bounds', post('{"a":1e400}'), 400, 'number_out_of_range'],

  // Schemas.
  [
    'a member that nobody declared',
    post('{"email":"a@b.example","admin":true}', 'application/json', '/users'),
    400,
    'unrecognized_key',
  ],
  ['a string for a number', post('{"email":"a@b.example","age":"12"}', 'application/json', '/users'), 400, 'invalid_type'],
  ['null for an object', post('null', 'application/json', '/users'), 400, 'invalid_type'],
  ['no body where one is due', 'POST /users HTTP/1.1\r\nHost: a\r\n\r\n', 400, 'KEELSON_VALIDATION_FAILED'],
  ['a scalar given twice', get('/search?limit=1&limit=2'), 400, 'repeated'],
  ['a number that is none', get('/search?limit='), 400, 'invalid_type'],
  ['a number in hexadecimal', get('/search?limit=0x10'), 400, 'invalid_type'],
]

let border: Border
before(async () => {
  border = await startBorder()
})
after(async () => {
  await border[Symbol.asyncDispose]()
})

function checkProblem(answer: Answer, status: number, names: string): void {
  assert.equal(answer.status, status, answer.text)
  assert.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8')
  assert.equal(answer.headers['x-content-type-options'], 'nosniff')
  assert.equal(answer.headers['cache-control'], 'no-store')
  assert.equal(answer.headers['content-security-policy'], "default-src 'none'; frame-ancestors 'none'")
  const problem = JSON.parse(answer.body) as Record<string, unknown>
  assert.equal(problem['status'], status)
  assert.match(String(problem['instance']), /^urn:uuid:[0-9a-f-]{36}$/)
  assert.match(answer.body, new RegExp(`"code":"${names}"`))
  assert.doesNotMatch(answer.text, /FST_|HPE_|node_modules|at .*\.ts|Server:|X-Powered-By/i)
}

for (const [name, bytes, status, names] of HOSTILE) {
  test(`${name} is a ${status} ${names}`, async () => {
    checkProblem(await border.send(bytes), status, names)
  })
}

/** Each is refused; none may take another request along. */
const AMBIGUOUS: readonly (readonly [string, string])[] = [
  ['two Hosts', get('/ping', 'Host: b.example\r\n')],
  ['Transfer-Encoding: gzip, chunked', 'POST /any HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
  ['a way up', get('/users/../ping')],
  ['an unknown expectation', get('/ping', 'Expect: the-moon\r\n')],
  ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n'],
]

for (const [name, bytes] of AMBIGUOUS) {
  test(`of requests in one packet with ${name}, those behind it neither run nor are answered`, async () => {
    const ran: string[] = []
    await using app = Fastify(serverOptions())
    await app.register(errors)
    await app.register(guard)
    app.get('/before', async () => void ran.push('before'))
    app.post('/behind', async () => void ran.push('behind'))
    await app.listen({ port: 0, host: '127.0.0.1' })

    const socket = await dial((app.server.address() as AddressInfo).port)
    let text = ''
    socket.on('data', (chunk) => (text += String(chunk)))
    const behind = 'POST /behind HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n'.repeat(3)
    socket.write(`${get('/before')}${bytes}${behind}garbage\r\n\r\n`)
    await once(socket, 'close', soon())

    const statuses = [...text.matchAll(/HTTP\/1\.1 (\d)/g)].map(([, first]) => `${first}xx`)
    assert.deepEqual(statuses, ['2xx', '4xx'], text)
    assert.deepEqual(ran, ['before'])
  })
}

test('a request dropped behind a refused one is over at once, for logs and gauges in front of the guard', async () => {
  const go = Promise.withResolvers<void>()
  const over = Promise.withResolvers<boolean>()
  await using app = Fastify(serverOptions())
  await app.register(errors)
  app.addHook('onRequest', function watch(request, reply, done) {
    if (request.method === 'POST') onResponseEnd(reply.raw, over.resolve)
    done()
  })
  await app.register(guard)
  app.get('/slow', async () => go.promise)
  app.post('/behind', async () => 'ran')
  await app.listen({ port: 0, host: '127.0.0.1' })

  const socket = await dial((app.server.address() as AddressInfo).port)
  const closed = once(socket, 'close', soon())
  const behind = 'POST /behind HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n'
  socket.write(get('/slow') + get('/ping', 'Host: b.example\r\n') + behind)
  try {
    assert.equal(await Promise.race([over.promise, closed]), false)
  } finally {
    go.resolve()
    socket.destroy()
  }
})

test('after all of it, a good request is answered', async () => {
  const answer = await border.send(get('/ping'))
  assert.equal(answer.status, 200)
  assert.equal(answer.body, '{"ok":true}')
})

test('no refusal was logged as a failure of ours', () => {
  assert.deepEqual(
    border.log.filter(({ level }) => level >= 50).map(({ msg }) => msg),
    [],
  )
})
