/** Request lines, headers and framing that a proxy in front and the service could read differently, or that cost too much. */
import { refused, request, served, unread, unrouted, type HostileCase } from './hostile-service.ts'

const PATH = '/api/users'
const MALFORMED = 'KEELSON_REQUEST_MALFORMED'
const URL_MALFORMED = 'KEELSON_URL_MALFORMED'
const UNKNOWN_ID = `${PATH}/00000000-0000-7000-8000-000000000000`

const get = (target: string, headers = ''): Buffer => request('GET', target, { headers })

/** Nothing but what is given: not even a Host. */
const raw = (line: string, headers = 'Host: users.example\r\n'): string => `${line}\r\n${headers}Connection: close\r\n\r\n`

/** Whose body is framed as it says itself. */
const post = (framing: string, body: string): Buffer =>
  Buffer.concat([request('POST', PATH, { headers: `Content-Type: application/json\r\n${framing}` }), Buffer.from(body)])

const smuggled = raw('GET /protected HTTP/1.1')

/** Behind a good request, on the same connection. */
const behind = (one: HostileCase): HostileCase => ({
  ...one,
  what: `${one.what}, behind a good request`,
  bytes: Buffer.concat([request('GET', '/protected', { more: true }), Buffer.from(one.bytes)]),
  answers: 2,
})

const LINES: readonly HostileCase[] = [
  unread('a method that does not exist', raw('BREW /protected HTTP/1.1'), 400),
  refused('no version', raw('GET /protected'), 400, 'KEELSON_HTTP_VERSION_UNSUPPORTED'),
  refused('HTTP/2.0 in the request line', raw('GET /protected HTTP/2.0'), 400, 'KEELSON_HTTP_VERSION_UNSUPPORTED'),
  unread('the first bytes of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400),
  unread('the first bytes of TLS', Buffer.from([0x16, 3, 1, 0, 0xa5, 1, 0, 0]), 400),
  refused('TRACE', raw('TRACE /protected HTTP/1.1'), 405, 'KEELSON_METHOD_NOT_ALLOWED'),
  refused('PUT where there is PATCH', request('PUT', UNKNOWN_ID), 405, 'KEELSON_METHOD_NOT_ALLOWED'),
  unread('CONNECT', raw('CONNECT evil.example:443 HTTP/1.1'), 400, 'KEELSON_CONNECT_REFUSED'),
  refused('OPTIONS *', raw('OPTIONS * HTTP/1.1'), 400, MALFORMED),
  refused('somebody else’s URL', get('http://evil.example/protected'), 400, MALFORMED),
  refused('a URL of 9,000 characters', get(`/protected?x=${'a'.repeat(9_000)}`), 414, 'KEELSON_URL_TOO_LONG'),
  unrouted('an id of 101 characters', get(`${PATH}/${'a'.repeat(101)}`), 414, 'KEELSON_URL_TOO_LONG'),
  refused('a NUL in the path', get(`${PATH}/%00`), 400, URL_MALFORMED),
  refused('a NUL in the query', get(`${PATH}?cursor=%00`), 400, URL_MALFORMED),
  unread('a raw NUL in the path', get(`${PATH}/\0`), 400),
  unrouted('half an escape', get(`${PATH}/%f`), 400, URL_MALFORMED),
  unrouted('an escape that is not UTF-8', get(`${PATH}/%c0%ae`), 400, URL_MALFORMED),
  refused('the way up, escaped', get(`${PATH}/%2e%2e/%2e%2e/etc/passwd`), 400, URL_MALFORMED),
  refused('a slash, escaped', get(`${PATH}%2f42`), 400, URL_MALFORMED),
  refused('two slashes', get('//api/users'), 404, 'KEELSON_NOT_FOUND'),
  refused('a semicolon instead of a question mark', get(`${PATH};limit=1`), 404, 'KEELSON_NOT_FOUND'),
  refused('a line of the log in the path', get('/%0a%7b%22level%22:%22info%22%7d'), 404, 'KEELSON_NOT_FOUND'),
]

const HEADERS: readonly HostileCase[] = [
  refused('no Host', raw('GET /protected HTTP/1.1', ''), 400, MALFORMED),
  refused('two Hosts', get('/protected', 'Host: evil.example\r\n'), 400, MALFORMED),
  refused('a Host that is none', raw('GET /protected HTTP/1.1', 'Host: a b@c/\r\n'), 400, MALFORMED),
  unread('a folded header', get('/protected', 'X-A: b\r\n c\r\n'), 400),
  unread('bare line feeds', 'GET /protected HTTP/1.1\nHost: users.example\n\n', 400),
  unread('a bare carriage return', get('/protected', 'X-A: b\rX-B: c\r\n'), 400),
  unread('a space before the colon', get('/protected', 'X-A : b\r\n'), 400),
  unread('a NUL in a header', get('/protected', 'X-A: \0\r\n'), 400),
  unread('20 KB of headers', get('/protected', `X-A: ${'a'.repeat(20_000)}\r\n`), 431, 'KEELSON_HEADERS_TOO_LARGE'),
  unread('101 headers', get('/protected', 'X-A: b\r\n'.repeat(101)), 431, 'KEELSON_HEADERS_TOO_LARGE'),
  unread('an expectation that nobody can meet', get('/protected', 'Expect: the-moon\r\n'), 417, 'KEELSON_EXPECTATION_FAILED'),
  refused('an answer in XML', get(PATH, 'Accept: application/xml\r\n'), 406, 'KEELSON_NOT_ACCEPTABLE'),
  served(
    'an upgrade to a socket',
    get('/protected', 'Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'),
  ),
  served('an upgrade to HTTP/2', get('/protected', 'Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n')),
  served('DELETE in a header', get(`${PATH}?limit=1`, 'X-HTTP-Method-Override: DELETE\r\n')),
  served('an address in X-Forwarded-For', get('/protected', 'X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\n')),
  served('a request id with a line break', get('/protected', 'X-Request-Id: abcdefgh%0a{"level":"error"}\r\n')),
  served('a trace that is none', get('/protected', 'traceparent: 00-x\r\ntracestate: =,=,=\r\n')),
  served('a page of another site', get('/protected', 'Origin: https://evil.example\r\nCookie: a=b\r\n')),
]

const FRAMING: readonly HostileCase[] = [
  unread('Content-Length and Transfer-Encoding', post('Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\nX'), 400),
  unread('two Content-Lengths', post('Content-Length: 2\r\nContent-Length: 60\r\n', '{}'), 400),
  unread('a signed Content-Length', post('Content-Length: +2\r\n', '{}'), 400),
  unread('a Content-Length beyond all numbers', post(`Content-Length: ${'9'.repeat(30)}\r\n`, '{}'), 400),
  refused('a terabyte, announced', post('Content-Length: 1099511627776\r\n', '{'), 413, 'KEELSON_BODY_TOO_LARGE'),
  refused('gzip, chunked', post('Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n'), 400, MALFORMED),
  unread('chunked, gzip', post('Transfer-Encoding: chunked, gzip\r\n', '0\r\n\r\n'), 400),
  refused('xchunked', post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'), 400, MALFORMED),
  unread('a chunk without a size', post('Transfer-Encoding: chunked\r\n', 'zz\r\n'), 400),
  unread('a chunk size beyond all numbers', post('Transfer-Encoding: chunked\r\n', `${'f'.repeat(20)}\r\n`), 400),
  unread(
    'a chunk extension of 20 KB',
    post('Transfer-Encoding: chunked\r\n', `1;${'a'.repeat(20_000)}\r\n`),
    413,
    'KEELSON_BODY_TOO_LARGE',
  ),
  refused(
    'chunks without end',
    post('Transfer-Encoding: chunked\r\n', `1000\r\n${' '.repeat(0x1000)}\r\n`.repeat(30)),
    413,
    'KEELSON_BODY_TOO_LARGE',
  ),
  unread(
    '20 KB of trailers',
    post('Transfer-Encoding: chunked\r\n', `2\r\n{}\r\n0\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`),
    431,
    'KEELSON_HEADERS_TOO_LARGE',
  ),
  refused(
    'a request in the body of one without a token',
    request('POST', PATH, { bearer: '', body: smuggled }),
    401,
    'KEELSON_UNAUTHENTICATED',
  ),
  behind(unread('rubbish', 'rubbish\r\n\r\n', 400)),
  behind(unread('an answer', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 400)),
  behind(refused('a request without a token', request('GET', UNKNOWN_ID, { bearer: '' }), 401, 'KEELSON_UNAUTHENTICATED')),
]

export const REQUEST_LINES: readonly HostileCase[] = LINES
export const REQUEST_HEADERS: readonly HostileCase[] = HEADERS
export const REQUEST_FRAMING: readonly HostileCase[] = FRAMING
