/** The reference service, route by route, on a real database. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { InjectOptions } from 'fastify'
import service from '../../examples/users/service.ts'
import { testService, type TestService } from '../../src/testing/index.ts'

let users: TestService
let auth: { readonly authorization: string }
let made = 0

before(async () => {
  users = await testService(service)
  auth = await users.authorization({ scopes: ['users:read', 'users:write'] })
})
after(async () => users[Symbol.asyncDispose]())

type Answer = Awaited<ReturnType<TestService['app']['inject']>>

function call(method: InjectOptions['method'], url: string, options: InjectOptions = {}): Promise<Answer> {
  return users.app.inject({ ...options, method: method!, url, headers: { ...auth, ...options.headers } })
}

function someone(fields: object = {}): { email: string; name: string; username: string } {
  made += 1
  return { email: `User${made}@Example.com`, name: `User ${made}`, username: `user-${made}`, ...fields }
}

async function create(fields: object = {}): Promise<Answer> {
  const answer = await call('POST', '/api/users', { payload: someone(fields) })
  assert.equal(answer.statusCode, 201, answer.body)
  return answer
}

function assertProblem(answer: Answer, status: number, code: string): { errors?: { pointer: string; code: string }[] } {
  assert.equal(answer.statusCode, status, answer.body)
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/)
  const problem = answer.json<{ status: number; code: string; instance: string }>()
  assert.equal(problem.status, status)
  assert.equal(problem.code, code)
  assert.match(problem.instance, /^urn:uuid:/)
  return problem as never
}

test('POST creates a user: 201, Location, ETag, and the same representation at that location', async () => {
  const answer = await create()
  const user = answer.json<{ id: string }>()
  assert.match(user.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
  assert.equal(answer.headers['location'], `/api/users/${user.id}`)
  assert.equal(answer.headers['etag'], '"v1"')
  const read = await call('GET', String(answer.headers['location']))
  assert.equal(read.statusCode, 200)
  assert.deepEqual(read.json(), user)
  assert.deepEqual(Object.keys(user).toSorted(), ['createdAt', 'email', 'id', 'name', 'updatedAt', 'username'])
})

test('POST with a bad body names every wrong field by JSON pointer', async () => {
  const problem = assertProblem(
    await call('POST', '/api/users', { payload: { email: 'nope', username: 'a', admin: true } }),
    400,
    'KEELSON_VALIDATION_FAILED',
  )
  assert.deepEqual(problem.errors?.map((error) => error.pointer).toSorted(), ['/admin', '/email', '/name', '/username'])
})

test('POST of a taken e-mail, whatever its case, or of a taken username is a 409 that names the field', async () => {
  const { email, username } = (await create()).json<{ email: string; username: string }>()
  const sameEmail = assertProblem(
    await call('POST', '/api/users', { payload: someone({ email: email.toUpperCase() }) }),
    409,
    'USERS_TAKEN',
  )
  assert.deepEqual(
    sameEmail.errors?.map((error) => error.pointer),
    ['/email'],
  )
  const sameName = assertProblem(await call('POST', '/api/users', { payload: someone({ username }) }), 409, 'USERS_TAKEN')
  assert.deepEqual(
    sameName.errors?.map((error) => error.pointer),
    ['/username'],
  )
})

test('GET answers 304 to the current ETag, 404 to an unknown id, 400 to what is no id', async () => {
  const created = await create()
  const { id } = created.json<{ id: string }>()
  const unchanged = await call('GET', `/api/users/${id}`, { headers: { 'if-none-match': String(created.headers['etag']) } })
  assert.equal(unchanged.statusCode, 304)
  assert.equal(unchanged.body, '')
  assert.equal(unchanged.headers['etag'], '"v1"')
  assertProblem(await call('GET', '/api/users/00000000-0000-7000-8000-000000000000'), 404, 'KEELSON_NOT_FOUND')
  assertProblem(await call('GET', '/api/users/42'), 400, 'KEELSON_VALIDATION_FAILED')
})

test('GET of a list pages by cursor, stable while users are inserted and deleted', async () => {
  for (let i = 0; i < 7; i++) await create()
  const seen: string[] = []
  let path: string | undefined = '/api/users?limit=3'
  while (path) {
    const page: Answer = await call('GET', path)
    assert.equal(page.statusCode, 200, page.body)
    const { items, nextCursor } = page.json<{ items: { id: string }[]; nextCursor: string | null }>()
    seen.push(...items.map((user) => user.id))
    if (seen.length === 3) await create()
    path = /<([^>]+)>; rel="next"/.exec(String(page.headers['link'] ?? ''))?.[1]
    assert.equal(path === undefined, nextCursor === null)
  }
  assert.equal(new Set(seen).size, seen.length)
  assert.deepEqual(seen.toSorted(), seen)
  const count = await users.app.db
    .selectFrom('users')
    .select(users.app.db.fn.countAll<string>().as('n'))
    .executeTakeFirstOrThrow()
  assert.equal(seen.length, Number(count.n))
})

test('GET of a list refuses a limit over 100, nonsense, and a foreign or altered cursor', async () => {
  for (const limit of ['101', '0', '-1', '1e9', 'NaN', '1.5', '']) {
    assertProblem(await call('GET', `/api/users?limit=${limit}`), 400, 'KEELSON_VALIDATION_FAILED')
  }
  assertProblem(await call('GET', '/api/users?limit=1&limit=2'), 400, 'KEELSON_VALIDATION_FAILED')
  await create()
  await create()
  const { nextCursor } = (await call('GET', '/api/users?limit=1')).json<{ nextCursor: string }>()
  const altered = `${nextCursor.slice(0, -2)}${nextCursor.endsWith('A') ? 'B' : 'A'}${nextCursor.slice(-1)}`
  for (const cursor of [altered, 'x', Buffer.from('{"id":1}').toString('base64url')]) {
    assertProblem(await call('GET', `/api/users?cursor=${cursor}`), 400, 'KEELSON_CURSOR_INVALID')
  }
})

test('PATCH needs If-Match: 428 without, 412 with an old one, and the cached value is gone at once', async () => {
  const created = await create()
  const url = String(created.headers['location'])
  await call('GET', url)
  assertProblem(await call('PATCH', url, { payload: { name: 'New' } }), 428, 'KEELSON_PRECONDITION_REQUIRED')
  const changed = await call('PATCH', url, { payload: { name: 'New' }, headers: { 'if-match': '"v1"' } })
  assert.equal(changed.statusCode, 200, changed.body)
  assert.equal(changed.headers['etag'], '"v2"')
  assert.equal(changed.json<{ name: string }>().name, 'New')
  assertProblem(
    await call('PATCH', url, { payload: { name: 'Late' }, headers: { 'if-match': '"v1"' } }),
    412,
    'KEELSON_PRECONDITION_FAILED',
  )
  const read = await call('GET', url)
  assert.equal(read.json<{ name: string }>().name, 'New')
  assert.equal(read.headers['etag'], '"v2"')
})

test('PATCH of nothing, of an unknown field and of a missing user are refused', async () => {
  const url = String((await create()).headers['location'])
  const headers = { 'if-match': '*' }
  assertProblem(await call('PATCH', url, { payload: {}, headers }), 400, 'KEELSON_VALIDATION_FAILED')
  assertProblem(await call('PATCH', url, { payload: { version: 9 }, headers }), 400, 'KEELSON_VALIDATION_FAILED')
  const unknown = '/api/users/00000000-0000-7000-8000-000000000000'
  assertProblem(await call('PATCH', unknown, { payload: { name: 'X' }, headers }), 404, 'KEELSON_NOT_FOUND')
})

test('two PATCHes at once on one version: one wins, the other learns of it', async () => {
  const url = String((await create()).headers['location'])
  const both = await Promise.all(
    ['A', 'B'].map((name) => call('PATCH', url, { payload: { name }, headers: { 'if-match': '"v1"' } })),
  )
  assert.deepEqual(
    both.map((answer) => answer.statusCode).toSorted((a, b) => a - b),
    [200, 412],
  )
})

test('DELETE needs If-Match too; afterwards the user is gone, from the cache as well', async () => {
  const url = String((await create()).headers['location'])
  await call('GET', url)
  assertProblem(await call('DELETE', url), 428, 'KEELSON_PRECONDITION_REQUIRED')
  assertProblem(await call('DELETE', url, { headers: { 'if-match': '"v7"' } }), 412, 'KEELSON_PRECONDITION_FAILED')
  const deleted = await call('DELETE', url, { headers: { 'if-match': '"v1"' } })
  assert.equal(deleted.statusCode, 204)
  assert.equal(deleted.body, '')
  assertProblem(await call('GET', url), 404, 'KEELSON_NOT_FOUND')
})

test('every route but the public ones refuses a caller without a token, and without the scope', async () => {
  const publicPaths = /^\/(health|openapi\.json|docs)/
  const none = await users.authorization({ scopes: ['other'] })
  let tried = 0
  for (const { method, path, auth: policy } of users.app.routeTable) {
    if (publicPaths.test(path) || method === 'OPTIONS') continue
    tried += 1
    const url = path.replace(':id', '00000000-0000-7000-8000-000000000000')
    const bare = await users.app.inject({ method: method as 'GET', url })
    assert.equal(bare.statusCode, 401, `${method} ${path}`)
    assert.equal(bare.headers['www-authenticate'], 'Bearer')
    if (policy === 'any') continue
    const weak = await users.app.inject({ method: method as 'GET', url, headers: none })
    assert.equal(weak.statusCode, 403, `${method} ${path}`)
  }
  assert.ok(tried >= 6)
})

test('GET /protected greets the user name in the token', async () => {
  const headers = await users.authorization({ sub: 'u-1', username: 'grace' })
  const answer = await users.app.inject({ method: 'GET', url: '/protected', headers })
  assert.deepEqual(answer.json(), { message: 'Hello grace' })
})

test('GET /health is public and honest', async () => {
  const answer = await users.app.inject({ method: 'GET', url: '/health' })
  assert.equal(answer.statusCode, 200)
  const { status, timestamp, version } = answer.json<Record<string, string>>()
  assert.equal(status, 'healthy')
  assert.equal(version, '1.0.0')
  assert.equal(new Date(timestamp!).toISOString(), timestamp)
  using _held = users.app.health.hold('draining')
  assert.equal((await users.app.inject({ method: 'GET', url: '/health' })).statusCode, 503)
})

test('the API document lists every route with its scopes and its problem responses', async () => {
  const document = (await users.app.inject({ method: 'GET', url: '/openapi.json' })).json<{
    openapi: string
    paths: Record<string, Record<string, { security: object[]; responses: Record<string, unknown> }>>
  }>()
  assert.match(document.openapi, /^3\.1/)
  const create = document.paths['/api/users/']?.['post'] ?? document.paths['/api/users']?.['post']
  assert.deepEqual(create?.security, [{ bearer: ['users:write'] }])
  assert.deepEqual(Object.keys(create?.responses ?? {}).toSorted(), ['201', '400', '401', '403', '413', '415', 'default'])
  const page = await users.app.inject({ method: 'GET', url: '/docs', headers: { accept: 'text/html' } })
  assert.ok([200, 302].includes(page.statusCode), page.body)
})

test('each request is one line in the log, with route template, status, ids and principal', async () => {
  const before = users.logs.length
  await call('GET', '/api/users?limit=1', { headers: { 'x-request-id': 'my-request-1' } })
  const lines = users.logs.slice(before).filter((line) => line['msg'] === 'request')
  assert.equal(lines.length, 1)
  const { requestId, route, status, principal, method } = lines[0]!
  assert.deepEqual(
    { requestId, status, principal, method },
    { requestId: 'my-request-1', status: 200, principal: 'ada', method: 'GET' },
  )
  assert.match(String(route), /^\/api\/users\/?$/)
})
