/** Whatever refuses a request on its way, the answer looks the same and is one line in the log. */
import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { API_HEADERS } from '../../src/http/errors/index.ts'
import { exchange } from '../http/border-harness.ts'
import { eventually } from '../support/waiting.ts'
import { bearer, small, type Line, type Small } from './fixture.ts'

let service: Small
let port: number
before(async () => {
  service = await small(
    (app) => {
      app.get('/public', { auth: false }, async () => ({ ok: true }))
      app.get('/any', { auth: 'any' }, async () => ({ ok: true }))
      app.get('/scoped', { auth: { scopes: ['things:read'] } }, async () => ({ ok: true }))
      app.post('/things', { auth: false, schema: { body: z.strictObject({ n: z.int() }) } }, async () => ({ ok: true }))
      app.get('/boom', { auth: false }, async () => {
        throw new Error('the password is hunter2')
      })
      app.get('/things/:id', { auth: false }, async () => ({ ok: true }))
      app.get('/slow', { auth: false, deadlineMs: 20 }, async () => new Promise<never>(() => {}))
    },
    { env: { ALLOWED_HOSTS: 'small.example' } },
  )
  await service.app.listen({ host: '127.0.0.1', port: 0 })
  port = (service.app.server.address() as AddressInfo).port
})
after(() => service[Symbol.asyncDispose]())

interface Refusal {
  readonly stage: string
  readonly request: () => Promise<string> | string
  readonly status: number
  readonly code: string
}

function get(path: string, headers: Readonly<Record<string, string>> = {}): string {
  return head('GET', path, headers)
}

function post(path: string, body: string, headers: Readonly<Record<string, string>> = {}): string {
  return head('POST', path, { 'content-type': 'application/json', 'content-length': String(body.length), ...headers }) + body
}

function head(method: string, path: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries({ host: 'small.example', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

const REFUSALS: readonly Refusal[] = [
  { stage: 'guard: Host', request: () => get('/public', { host: 'evil.example' }), status: 421, code: 'KEELSON_HOST_UNKNOWN' },
  { stage: 'guard: URL', request: () => get(`/public?${'x'.repeat(9_000)}`), status: 414, code: 'KEELSON_URL_TOO_LONG' },
  { stage: 'route', request: () => get('/nowhere'), status: 404, code: 'KEELSON_NOT_FOUND' },
  { stage: 'method', request: () => post('/public', '{}'), status: 405, code: 'KEELSON_METHOD_NOT_ALLOWED' },
  { stage: 'deadline', request: () => get('/slow'), status: 504, code: 'KEELSON_TIMEOUT' },
  { stage: 'no token', request: () => get('/any'), status: 401, code: 'KEELSON_UNAUTHENTICATED' },
  {
    stage: 'bad token',
    request: () => get('/any', { authorization: 'Bearer x.y.z' }),
    status: 401,
    code: 'KEELSON_UNAUTHENTICATED',
  },
  {
    stage: 'scope',
    request: async () => get('/scoped', await bearer('things:write')),
    status: 403,
    code: 'KEELSON_FORBIDDEN',
  },
  { stage: 'accept', request: () => get('/public', { accept: 'text/html' }), status: 406, code: 'KEELSON_NOT_ACCEPTABLE' },
  {
    stage: 'media type',
    request: () => post('/things', 'n=1', { 'content-type': 'application/x-www-form-urlencoded' }),
    status: 415,
    code: 'KEELSON_MEDIA_TYPE_UNSUPPORTED',
  },
  { stage: 'size', request: () => post('/things', ' '.repeat(102_401)), status: 413, code: 'KEELSON_BODY_TOO_LARGE' },
  { stage: 'JSON', request: () => post('/things', '{"n":1,}'), status: 400, code: 'KEELSON_JSON_INVALID' },
  { stage: 'schema', request: () => post('/things', '{"n":"1"}'), status: 400, code: 'KEELSON_VALIDATION_FAILED' },
  { stage: 'handler', request: () => get('/boom'), status: 500, code: 'KEELSON_INTERNAL' },
]

function linesOf(requestId: unknown): readonly Line[] {
  return service.log.filter((line) => line.msg === 'request' && line['requestId'] === requestId)
}

for (const { stage, request, status, code } of REFUSALS) {
  test(`refused at ${stage}: a problem with every header and the request id, and one line`, async () => {
    const answer = await exchange(port, await request())
    assert.equal(answer.status, status, answer.text)
    const problem = JSON.parse(answer.body) as Record<string, unknown>
    assert.equal(problem['code'], code)
    assert.equal(problem['status'], status)
    assert.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8')
    for (const [name, value] of Object.entries(API_HEADERS)) assert.equal(answer.headers[name], value, name)
    const requestId = answer.headers['x-request-id']
    assert.match(String(requestId), /^[0-9a-f]{32}$/)
    await eventually('the line', () => linesOf(requestId).length > 0)
    const [line, ...more] = linesOf(requestId)
    assert.deepEqual(more, [])
    assert.equal(line?.['status'], status)
    assert.equal(`urn:uuid:${String(line?.['errorId'])}`, problem['instance'])
    assert.equal(answer.text.includes('hunter2'), false)
  })
}

for (const [what, request, code] of [
  ['a URL that cannot be decoded', () => get('/public%zz'), 'KEELSON_URL_MALFORMED'],
  ['a parameter that is too long', () => get(`/things/${'x'.repeat(200)}`), 'KEELSON_URL_TOO_LONG'],
] as const) {
  test(`refused by the router, before any hook: ${what} is answered alike, and is one line`, async () => {
    const answer = await exchange(port, request())
    const { code: told, instance } = JSON.parse(answer.body) as Record<string, string>
    assert.equal(told, code)
    for (const [name, value] of Object.entries(API_HEADERS)) assert.equal(answer.headers[name], value, name)
    assert.match(answer.headers['x-request-id'] ?? '', /^[0-9a-f]{32}$/)
    const lines = service.log.filter((line) => `urn:uuid:${String(line['errorId'])}` === instance)
    assert.deepEqual(
      lines.map((line) => [line.msg, line['status']]),
      [['request refused', answer.status]],
    )
  })
}

test('a refusal is counted under its route template', async () => {
  await exchange(port, get('/scoped'))
  const { metrics } = service.app.metrics.snapshot()
  const requests = metrics.find(({ name }) => name === 'http_requests_total')
  const labels = requests?.series.map((series) => series.labels.join(' ')) ?? []
  assert.ok(labels.includes('GET /scoped 401'), labels.join())
})
