import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import Fastify, { type FastifyInstance } from 'fastify'
import { KeelsonError, type ErrorKind } from '../../src/core/errors.ts'
import { subscribe } from '../../src/core/telemetry.ts'
import {
  clientErrorHandler,
  errors,
  found,
  HTTP_CHANNEL,
  PROBLEM_SCHEMA,
  type ErrorsOptions,
  type HttpEvent,
  type Problem,
  type RequestFailure,
} from '../../src/http/errors/index.ts'
import { dial, soon, startBorder, type LogLine } from './border-harness.ts'

interface App extends AsyncDisposable {
  readonly app: FastifyInstance
  readonly log: LogLine[]
  readonly failures: (RequestFailure | null)[]
}

/** A Fastify app that has nothing of Keelson but this plugin. */
async function appWith(routes: (app: FastifyInstance) => unknown, options: Partial<ErrorsOptions> = {}): Promise<App> {
  const log: LogLine[] = []
  const failures: (RequestFailure | null)[] = []
  const app = Fastify({
    logger: { level: 'warn', stream: { write: (line: string) => void log.push(JSON.parse(line) as LogLine) } },
  })
  await app.register(errors, options)
  app.addHook('onResponse', async (request) => void failures.push(request.failure))
  await routes(app)
  return { app, log, failures, [Symbol.asyncDispose]: () => app.close() }
}

function throwing(error: unknown): (app: FastifyInstance) => void {
  return (app) => app.get('/', () => Promise.reject(error))
}

async function problemOf(
  error: unknown,
  options: Partial<ErrorsOptions> = {},
): Promise<Problem & { retryAfter: string | undefined }> {
  await using t = await appWith(throwing(error), options)
  const reply = await t.app.inject('/')
  const problem = reply.json<Problem>()
  assert.equal(reply.statusCode, problem.status)
  assert.equal(reply.headers['content-type'], 'application/problem+json; charset=utf-8')
  return { ...problem, retryAfter: reply.headers['retry-after'] as string | undefined }
}

const BY_KIND: readonly (readonly [ErrorKind, number, string])[] = [
  ['invalid', 400, 'USERS_X'],
  ['unauthenticated', 401, 'USERS_X'],
  ['forbidden', 403, 'USERS_X'],
  ['not_found', 404, 'USERS_X'],
  ['conflict', 409, 'USERS_X'],
  ['overloaded', 503, 'KEELSON_OVERLOADED'],
  ['unavailable', 503, 'KEELSON_UNAVAILABLE'],
  ['timeout', 504, 'KEELSON_TIMEOUT'],
  ['cancelled', 503, 'KEELSON_UNAVAILABLE'],
  ['internal', 500, 'KEELSON_INTERNAL'],
]

for (const [kind, status, code] of BY_KIND) {
  test(`an error of kind ${kind} is a ${status} ${code}, and only a 4xx says why`, async () => {
    const problem = await problemOf(new KeelsonError('USERS_X', kind, 'the words of the service'))
    assert.equal(problem.status, status)
    assert.equal(problem.code, code)
    assert.equal(problem.detail === 'the words of the service', status < 500)
  })
}

test('a foreign error says nothing to the client and everything to the log, once, under the same id', async () => {
  const secret = 'connect ECONNREFUSED postgres://admin:s3cret@10.0.0.5/db'
  await using t = await appWith(throwing(Object.assign(new Error(secret), { statusCode: 404, code: 'ECONNREFUSED' })))
  const reply = await t.app.inject('/')
  assert.equal(reply.statusCode, 500)
  assert.doesNotMatch(reply.body, /s3cret|ECONN|postgres|10\.0/)
  assert.equal(t.log.length, 1)
  assert.equal(t.log[0]?.err?.message, secret)
  assert.match(t.log[0]?.err?.stack ?? '', /errors\.test/)
  assert.equal(reply.json<Problem>().instance, `urn:uuid:${t.log[0]?.errorId}`)
})

test('a 4xx is not logged here, but kept on the request for the access log', async () => {
  const error = new KeelsonError('USERS_TAKEN', 'conflict', 'taken')
  await using t = await appWith(throwing(error))
  const reply = await t.app.inject('/')
  assert.deepEqual(t.log, [])
  assert.equal(t.failures[0]?.error, error)
  assert.equal(t.failures[0]?.status, 409)
  assert.equal(t.failures[0]?.problem.code, 'USERS_TAKEN')
  assert.equal(reply.json<Problem>().instance, `urn:uuid:${t.failures[0]?.errorId}`)
})

test('a request that succeeds has no failure', async () => {
  await using t = await appWith((app) => app.get('/', async () => 'fine'))
  assert.equal((await t.app.inject('/')).statusCode, 200)
  assert.deepEqual(t.failures, [null])
})

for (const thrown of [undefined, null, 'text', 7, Object.freeze({}), Object.create(null), Symbol('x'), new Proxy({}, {})]) {
  test(`throwing ${typeof thrown === 'object' ? JSON.stringify(thrown) : String(thrown)} is a 500 like any other`, async () => {
    assert.equal((await problemOf(thrown)).code, 'KEELSON_INTERNAL')
  })
}

test('an error of `http-errors` that may be shown gives its status, but not its words', async () => {
  const problem = await problemOf(Object.assign(new Error('file /etc/passwd'), { expose: true, statusCode: 404, status: 404 }))
  assert.equal(problem.status, 404)
  assert.equal(problem.code, 'KEELSON_NOT_FOUND')
  assert.doesNotMatch(problem.detail, /passwd/)
})

test('an error of the database keeps the name of its constraint to itself', async () => {
  const problem = await problemOf(
    new KeelsonError('KEELSON_DB_UNIQUE', 'conflict', 'a row exists (constraint "users_email_key")'),
  )
  assert.equal(problem.status, 409)
  assert.equal(problem.code, 'KEELSON_CONFLICT')
  assert.doesNotMatch(JSON.stringify(problem), /users_email_key|DB_/)
})

test('wrong options are the mistake of the service, not of the caller', async () => {
  assert.equal((await problemOf(new KeelsonError('KEELSON_CONFIG_INVALID', 'invalid', 'x'))).status, 500)
})

test('a code may have any name', async () => {
  for (const code of ['constructor', '__proto__', 'toString', '']) {
    assert.equal((await problemOf(new KeelsonError(code, 'conflict', 'x'))).status, 409, code)
  }
})

test('problems show where, which rule and why, and nothing else that they carry', async () => {
  const wrong = { pointer: '/email', code: 'too_big', message: 'is too long', value: 'hunter2' }
  const problem = await problemOf(new KeelsonError('USERS_X', 'invalid', 'no', { problems: [wrong] }))
  assert.deepEqual(problem.errors, [{ pointer: '/email', code: 'too_big', message: 'is too long' }])
})

test("an error of ours that one of Node's own functions has wrapped keeps its status", async () => {
  const late = new KeelsonError('KEELSON_DEADLINE_EXCEEDED', 'timeout', 'not done within 5 ms')
  await using r = await appWith((app) => app.get('/', async () => pause(60_000, undefined, { signal: AbortSignal.abort(late) })))
  const answer = await r.app.inject('/')
  assert.equal(answer.statusCode, 504)
  assert.equal(answer.json<Problem>().code, 'KEELSON_TIMEOUT')
})

test('a service may give its own codes a status, and its problems a place', async () => {
  const options = { statuses: { USERS_QUOTA_SPENT: 422 }, typeBase: 'https://users.example/problems/' }
  const problem = await problemOf(new KeelsonError('USERS_QUOTA_SPENT', 'invalid', 'spent'), options)
  assert.equal(problem.status, 422)
  assert.equal(problem.type, 'https://users.example/problems/users-quota-spent')
})

test('Retry-After is never sooner than asked for, and jittered by a tenth', async () => {
  const error = new KeelsonError('X', 'overloaded', 'x', { retryAfterMs: 20_000 })
  assert.equal((await problemOf(error, { random: () => 0 })).retryAfter, '20')
  assert.equal((await problemOf(error, { random: () => 0.999 })).retryAfter, '22')
})

test('Retry-After is one to three seconds when nobody knows better, and only where another try makes sense', async () => {
  const error = new KeelsonError('X', 'unavailable', 'x')
  assert.equal((await problemOf(error, { random: () => 0 })).retryAfter, '1')
  assert.equal((await problemOf(error, { random: () => 0.999 })).retryAfter, '3')
  assert.equal((await problemOf(new KeelsonError('X', 'timeout', 'x'))).retryAfter, undefined)
  assert.equal(
    (await problemOf(new KeelsonError('KEELSON_RATE_LIMITED', 'overloaded', 'x'), { random: () => 0 })).retryAfter,
    '1',
  )
})

test('an answer that was begun for success leaves none of its headers on the problem', async () => {
  await using t = await appWith((app) =>
    app.get('/', async (_request, reply) => {
      reply.headers({ etag: '"1"', 'cache-control': 'public, max-age=60', location: '/x', 'x-mine': 'stays' }).type('text/csv')
      throw new KeelsonError('X', 'conflict', 'x')
    }),
  )
  const { headers } = await t.app.inject('/')
  assert.equal(headers['cache-control'], 'no-store')
  assert.equal(headers['etag'] ?? headers['location'], undefined)
  assert.equal(headers['x-mine'], 'stays')
  assert.equal(headers['x-content-type-options'], 'nosniff')
})

test('a serializer that the route has set does not touch a problem', async () => {
  await using t = await appWith((app) =>
    app.get('/', async (_request, reply) => {
      reply.serializer(() => 'mine')
      throw new KeelsonError('X', 'conflict', 'x')
    }),
  )
  assert.equal((await t.app.inject('/')).json<Problem>().status, 409)
})

test('every problem has the form that PROBLEM_SCHEMA declares', async () => {
  const declared = Object.keys(PROBLEM_SCHEMA['properties'] as object)
  const required = PROBLEM_SCHEMA['required'] as string[]
  await fc.assert(
    fc.asyncProperty(fc.string(), fc.string(), fc.constantFrom(...BY_KIND), async (code, message, [kind]) => {
      const { retryAfter: _, ...problem } = await problemOf(new KeelsonError(code, kind, message))
      for (const name of required) assert.ok(name in problem, name)
      for (const name of Object.keys(problem)) assert.ok(declared.includes(name), name)
    }),
    { numRuns: 25 },
  )
})

test('found passes values on, falsy ones too, and makes a 404 of null and undefined', async () => {
  assert.equal(found(0), 0)
  assert.equal(found(''), '')
  assert.equal(found(false), false)
  assert.throws(() => found(null), { code: 'KEELSON_NOT_FOUND', kind: 'not_found' })
  assert.throws(() => found(undefined, 'no such user'), { message: 'no such user' })
})

test('a null that no schema allows is a logged 500', async () => {
  await using t = await appWith((app) => {
    app.get('/', async () => null)
    app.get('/typed', { schema: { response: { 200: { type: 'object', properties: {} } } } }, async () => null)
  })
  for (const url of ['/', '/typed']) assert.equal((await t.app.inject(url)).statusCode, 500, url)
  assert.match(t.log[0]?.err?.message ?? '', /null is not in the schema of 200/)
})

test('a null is sent where the schema allows it, and where there is no body', async () => {
  await using t = await appWith((app) => {
    app.get('/', { schema: { response: { 200: { type: ['object', 'null'] } } } }, async () => null)
    app.get('/class', { schema: { response: { '2xx': { anyOf: [{ type: 'null' }, { type: 'string' }] } } } }, async () => null)
    app.delete('/', async (_request, reply) => reply.code(204).send(null))
  })
  assert.equal((await t.app.inject('/')).body, 'null')
  assert.equal((await t.app.inject('/class')).body, 'null')
  assert.equal((await t.app.inject({ method: 'DELETE', url: '/' })).statusCode, 204)
})

test('undefined keeps its meaning', async () => {
  await using t = await appWith((app) => app.get('/', async () => undefined))
  const reply = await t.app.inject('/')
  assert.equal(reply.statusCode, 200)
  assert.equal(reply.body, '')
})

async function manyRoutes(app: FastifyInstance): Promise<void> {
  const ok = async (): Promise<string> => 'ok'
  app.get('/users/:id', ok)
  app.delete('/users/:id', ok)
  app.post('/users', ok)
  app.get('/files/*', ok)
  app.route({ method: ['PUT', 'PATCH'], url: '/multi', handler: ok })
  app.get('/v', { constraints: { version: '2.0.0' } }, ok)
  app.get('/gone', (_request, reply) => reply.callNotFound())
  await app.register(async (scope) => scope.post('/inner/:x', ok), { prefix: '/scope' })
}

const ALLOW: readonly (readonly [string, string, number, string | undefined])[] = [
  ['POST', '/users/1', 405, 'GET, HEAD, DELETE, OPTIONS'],
  ['POST', '/users/1?a=b', 405, 'GET, HEAD, DELETE, OPTIONS'],
  ['GET', '/users', 405, 'POST, OPTIONS'],
  ['PUT', '/files/a/b/c', 405, 'GET, HEAD, OPTIONS'],
  ['GET', '/multi', 405, 'PATCH, PUT, OPTIONS'],
  ['POST', '/v', 405, 'GET, HEAD, OPTIONS'],
  ['GET', '/scope/inner/7', 405, 'POST, OPTIONS'],
  ['TRACE', '/users', 405, 'POST, OPTIONS'],
  ['OPTIONS', '/users', 204, 'POST, OPTIONS'],
  ['OPTIONS', '/nope', 404, undefined],
  ['POST', '/nope', 404, undefined],
  ['GET', '/gone', 404, undefined],
  ['GET', '/v', 404, undefined],
]

for (const [method, url, status, allow] of ALLOW) {
  test(`${method} ${url} is a ${status}${allow ? ` that allows ${allow}` : ''}`, async () => {
    await using t = await appWith(manyRoutes)
    const reply = await t.app.inject({ method: method as 'GET', url })
    assert.equal(reply.statusCode, status, reply.body)
    assert.equal(reply.headers['allow'], allow)
  })
}

test('a scope may register the plugin again, with options of its own', async () => {
  const failing = async (): Promise<never> => Promise.reject(new KeelsonError('X', 'conflict', 'x'))
  await using t = await appWith(async (app) => {
    app.get('/outer', failing)
    await app.register(
      async (scope) => {
        await scope.register(errors, { typeBase: 'urn:scope:' })
        scope.get('/inner', failing)
      },
      { prefix: '/scope' },
    )
    await app.register(async (scope) => {
      await scope.register(errors, { typeBase: 'urn:other:', notFound: false })
      scope.get('/unprefixed', failing)
    })
  })
  const type = async (url: string): Promise<string> => (await t.app.inject(url)).json<Problem>().type
  assert.equal(await type('/outer'), 'urn:keelson:problem:x')
  assert.equal(await type('/scope/inner'), 'urn:scope:x')
  assert.equal(await type('/scope/nothing'), 'urn:scope:not-found')
  assert.equal(await type('/unprefixed'), 'urn:other:x')
  assert.equal(await type('/nothing'), 'urn:keelson:problem:not-found')
})

test('an app may keep its own answer to what no route takes', async () => {
  await using app = Fastify()
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ mine: true }))
  await app.register(errors, { notFound: false })
  app.get('/', () => Promise.reject(new KeelsonError('X', 'conflict', 'x')))
  assert.deepEqual((await app.inject('/nothing')).json(), { mine: true })
  assert.equal((await app.inject('/')).json<Problem>().status, 409)
})

test('an answer that breaks off is logged, its connection closed, and the server goes on', async () => {
  await using border = await startBorder({
    routes(app) {
      app.get('/', async (_request, reply) => {
        reply.raw.writeHead(200, { 'content-length': '100' })
        reply.raw.write('half')
        throw new Error('broke off')
      })
      app.get('/ping', async () => 'ok')
    },
  })
  const answer = await border.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.equal(answer.body, 'half')
  assert.deepEqual(
    border.log.filter(({ level }) => level === 50).map(({ err }) => err?.message),
    ['broke off'],
  )
  assert.equal((await border.send('GET /ping HTTP/1.1\r\nHost: a\r\n\r\n')).status, 200)
})

test('when the client has left, nothing is sent, nothing logged as a failure, and the request says 499', async () => {
  const arrived = Promise.withResolvers<void>()
  const failed = Promise.withResolvers<RequestFailure | null>()
  await using border = await startBorder({
    routes: (app) =>
      app.get('/', async (request, reply) => {
        arrived.resolve()
        await once(reply.raw, 'close', soon())
        setImmediate(() => failed.resolve(request.failure))
        throw new KeelsonError('KEELSON_CLIENT_GONE', 'cancelled', 'left')
      }),
  })
  const socket = await dial(border.port)
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await arrived.promise
  socket.destroy()
  assert.equal((await failed.promise)?.status, 499)
  assert.deepEqual(
    border.log.filter(({ level }) => level >= 40),
    [],
  )
})

test('refusals that no hook sees are told on the channel, with the id that the client got', async () => {
  const events: HttpEvent[] = []
  using _listening = subscribe<HttpEvent>(HTTP_CHANNEL, (event) => events.push(event))
  await using border = await startBorder()
  const byParser = await border.send('nonsense\r\n\r\n')
  const byRouter = await border.send('GET /users/%zz HTTP/1.1\r\nHost: a\r\n\r\n')
  assert.deepEqual(
    events.map(({ type, source, status, code, errorId }) => [type, source, status, code, `urn:uuid:${errorId}`]),
    [
      ['request.refused', 'parser', 400, 'KEELSON_REQUEST_MALFORMED', (JSON.parse(byParser.body) as Problem).instance],
      ['request.refused', 'router', 400, 'KEELSON_URL_MALFORMED', (JSON.parse(byRouter.body) as Problem).instance],
    ],
  )
})

test('a malformed request behind others on one connection waits until they are answered', async () => {
  const go = Promise.withResolvers<void>()
  const arrived = Promise.withResolvers<void>()
  await using border = await startBorder({
    routes(app) {
      app.get('/slow', async () => {
        arrived.resolve()
        await go.promise
        return 'first'
      })
      app.get('/next', async () => 'second')
    },
  })
  const socket = await dial(border.port)
  let text = ''
  socket.on('data', (chunk) => (text += String(chunk)))
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
  socket.write(get('/slow') + get('/next') + 'BROKEN\r\n\r\n')
  await arrived.promise
  go.resolve()
  await once(socket, 'close', soon())
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)
  assert.deepEqual(statuses, ['200', '200', '400'])
  assert.ok(text.indexOf('first') < text.indexOf('second'))
})

for (const [what, bytes, status] of [
  ['an unknown expectation', 'GET /next HTTP/1.1\r\nHost: a\r\nExpect: the-moon\r\n\r\n', '417'],
  ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', '400'],
] as const) {
  test(`${what} behind another request waits until that one is answered`, async () => {
    const go = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    await using border = await startBorder({
      routes: (app) =>
        app.get('/slow', async () => {
          arrived.resolve()
          await go.promise
          return 'first'
        }),
    })
    const socket = await dial(border.port)
    let text = ''
    socket.on('data', (chunk) => (text += String(chunk)))
    socket.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n' + bytes)
    await arrived.promise
    go.resolve()
    await once(socket, 'close', soon())
    const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, given]) => given)
    assert.deepEqual(statuses, ['200', status])
  })
}

test('a body that does not arrive in time is a 408, though its handler waits for it', async () => {
  await using border = await startBorder({ limits: { requestTimeoutMs: 150, checkIntervalMs: 20 } })
  const answer = await border.send(
    'POST /any HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
  )
  assert.equal(answer.status, 408)
  assert.equal((JSON.parse(answer.body) as Problem).code, 'KEELSON_REQUEST_TIMEOUT')
  assert.equal(answer.headers['connection'], 'close')
  assert.deepEqual(
    border.log.filter(({ level }) => level >= 40),
    [],
  )
})

test('headers that do not arrive in time are a 408', async () => {
  await using border = await startBorder({ limits: { headersTimeoutMs: 150, checkIntervalMs: 20 } })
  const answer = await border.send('GET /ping HTTP/1.1\r\nX-A: ')
  assert.equal(answer.status, 408)
})

test('a refused client that goes on sending is heard out, not reset before it can read why', async () => {
  await using border = await startBorder()
  const socket = await dial(border.port, true)
  const closed = once(socket, 'close', soon())
  socket.write(`GET /ping HTTP/1.1\r\nHost: a\r\nX-A: ${'a'.repeat(20_000)}`)
  const [answer] = (await once(socket, 'data', soon())) as [Buffer]
  assert.match(String(answer), /^HTTP\/1.1 431 /)
  for (let i = 0; i < 20; i++) {
    socket.write('a'.repeat(16_384))
    await new Promise(setImmediate)
  }
  socket.end()
  const [hadError] = (await closed) as [boolean]
  assert.equal(hadError, false)
})

test('a parser error on a dead socket, or a second one, changes nothing', () => {
  const dead = new Socket()
  dead.destroy()
  clientErrorHandler(Object.assign(new Error('x'), { code: 'HPE_INVALID_METHOD' }), dead)
  clientErrorHandler(Object.assign(new Error('x'), { code: 'ECONNRESET' }), new Socket())
  const unconnected = new Socket()
  clientErrorHandler(new Error('x'), unconnected)
  clientErrorHandler(new Error('x'), unconnected)
  unconnected.destroy()
})

test('an unknown option is refused by name', async () => {
  await assert.rejects(
    async () => appWith(() => {}, { statusses: {} } as never),
    (error: Error) => /statusses/.test(error.message),
  )
})
