import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest, type ClientRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { setImmediate as settle } from 'node:timers/promises'
import { test } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Deadline } from '../../src/core/deadline.ts'
import { deadline, type DeadlineOptions } from '../../src/http/deadline/index.ts'
import { errors } from '../../src/http/errors/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { eventually } from '../support/waiting.ts'

interface Rig extends AsyncDisposable {
  readonly app: FastifyInstance
  readonly clock: ManualClock
  /** The deadlines of the requests so far. */
  readonly seen: Deadline[]
  readonly log: { readonly level: number; readonly msg: string }[]
}

async function rig(
  routes: (app: FastifyInstance, seen: Deadline[]) => void,
  options: Partial<DeadlineOptions> = {},
): Promise<Rig> {
  const clock = new ManualClock()
  const seen: Deadline[] = []
  const log: Rig['log'] = []
  const app = Fastify({ logger: { stream: { write: (line: string) => void log.push(JSON.parse(line) as Rig['log'][number]) } } })
  await app.register(errors)
  await app.register(deadline, { clock, ...options })
  routes(app, seen)
  return {
    app,
    clock,
    seen,
    log,
    async [Symbol.asyncDispose]() {
      app.server.closeAllConnections()
      await app.close()
    },
  }
}

/** Notes its deadline and answers with the time it has. */
function ask(app: FastifyInstance, seen: Deadline[], path: string, options: object = {}): void {
  app.get(path, options, async (request) => {
    seen.push(request.deadline)
    return { leftMs: request.deadline.remainingMs }
  })
}

async function leftMs(app: FastifyInstance, url: string, headers: Record<string, string> = {}): Promise<number> {
  return (await app.inject({ url, headers })).json<{ leftMs: number }>().leftMs
}

async function listen(app: FastifyInstance): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return (app.server.address() as AddressInfo).port
}

function call(
  port: number,
  options: { readonly method?: string; readonly path?: string; readonly body?: string } = {},
): ClientRequest {
  const { method = 'GET', path = '/', body } = options
  const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }
  const sent = httpRequest({ host: '127.0.0.1', port, method, path, headers })
  sent.on('error', () => {})
  sent.end(body)
  return sent
}

test('a route has its own time, any other the default, and config.keelson counts as well', async () => {
  await using r = await rig((app, seen) => {
    ask(app, seen, '/default')
    ask(app, seen, '/own', { deadlineMs: 700 })
    ask(app, seen, '/config', { config: { keelson: { deadlineMs: 300 } } })
    ask(app, seen, '/none', { deadlineMs: Infinity })
  })
  assert.equal(await leftMs(r.app, '/default'), 10_000)
  assert.equal(await leftMs(r.app, '/own'), 700)
  assert.equal(await leftMs(r.app, '/config'), 300)
  await r.app.inject('/none')
  assert.equal(r.seen.at(-1)?.remainingMs, Infinity)
})

test('a HEAD route, which Fastify makes of a GET route, has the same time', async () => {
  await using r = await rig((app, seen) => ask(app, seen, '/own', { deadlineMs: 700 }))
  await r.app.inject({ method: 'HEAD', url: '/own' })
  assert.equal(r.seen[0]?.remainingMs, 700)
})

test('two routes that share one config object do not share a deadline', async () => {
  const config = { anything: true }
  await using r = await rig((app, seen) => {
    ask(app, seen, '/short', { config, deadlineMs: 100 })
    ask(app, seen, '/long', { config, deadlineMs: 200 })
    ask(app, seen, '/default', { config })
  })
  assert.deepEqual(
    [await leftMs(r.app, '/short'), await leftMs(r.app, '/long'), await leftMs(r.app, '/default')],
    [100, 200, 10_000],
  )
  assert.deepEqual(Reflect.ownKeys(config), ['anything'])
})

test("a trusted caller's header shortens the time and never lengthens it", async () => {
  await using r = await rig((app, seen) => ask(app, seen, '/', { deadlineMs: 500 }), { trustCaller: () => true })
  assert.equal(await leftMs(r.app, '/', { 'x-request-timeout-ms': '200' }), 200)
  assert.equal(await leftMs(r.app, '/', { 'x-request-timeout-ms': '9000' }), 500)
  assert.equal(await leftMs(r.app, '/', { 'x-envoy-expected-rq-timeout-ms': '150' }), 150)
  assert.equal(await leftMs(r.app, '/', { 'x-request-timeout-ms': '0' }), 5)
  for (const nonsense of ['', '-1', '1e3', ' 7', '1.5', 'soon', '9999999999', '1,2']) {
    assert.equal(await leftMs(r.app, '/', { 'x-request-timeout-ms': nonsense }), 500, nonsense)
  }
})

test('the header of a caller who is not trusted means nothing', async () => {
  const trustCaller: DeadlineOptions['trustCaller'] = (request) => request.headers['x-peer'] === 'ours'
  await using strangers = await rig((app, seen) => ask(app, seen, '/'))
  await using some = await rig((app, seen) => ask(app, seen, '/'), { trustCaller })
  assert.equal(await leftMs(strangers.app, '/', { 'x-request-timeout-ms': '50' }), 10_000)
  assert.equal(await leftMs(some.app, '/', { 'x-request-timeout-ms': '50' }), 10_000)
  assert.equal(await leftMs(some.app, '/', { 'x-request-timeout-ms': '50', 'x-peer': 'ours' }), 50)
})

test('a handler that obeys its signal is answered for at once: one 504, and nothing is left behind', async () => {
  await using r = await rig((app, seen) => {
    app.get('/', { deadlineMs: 100 }, async (request) => {
      seen.push(request.deadline)
      const { signal } = request.deadline
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
  })
  const answering = r.app.inject('/')
  await eventually('the handler', () => r.seen.length > 0)
  await r.clock.advance(100)
  const answer = await answering
  assert.equal(answer.statusCode, 504)
  assert.equal(answer.json<{ code: string }>().code, 'KEELSON_TIMEOUT')
  assert.equal(r.clock.pendingTimers, 0)
  await r.clock.advance(1_000)
  assert.equal(r.log.filter(({ msg }) => msg === 'request failed').length, 1)
  assert.equal(r.log.filter(({ level }) => level >= 40).length, 1)
})

test('a deaf handler is answered for after the grace, and its own late answer is not sent', async () => {
  const work = Promise.withResolvers<object>()
  await using r = await rig(
    (app, seen) => {
      app.get('/', { deadlineMs: 100 }, async (request) => {
        seen.push(request.deadline)
        return work.promise
      })
    },
    { graceMs: 50 },
  )
  let answered = false
  const answering = r.app.inject('/').finally(() => (answered = true))
  await eventually('the handler', () => r.seen.length > 0)
  await r.clock.advance(149)
  assert.equal(answered, false)
  await r.clock.advance(1)
  assert.equal((await answering).statusCode, 504)
  work.resolve({ late: true })
  await settle()
  assert.equal(r.clock.pendingTimers, 0)
})

test('an answer that has begun is broken off after the grace, so that nobody takes it for whole', async () => {
  for (const withErrors of [true, false]) {
    const clock = new ManualClock()
    const app = Fastify()
    if (withErrors) await app.register(errors)
    await app.register(deadline, { clock })
    app.get('/', { deadlineMs: 100 }, (_request, reply) => {
      const stream = new Readable({ read() {} })
      stream.push('a beginning')
      return reply.send(stream)
    })
    const port = await listen(app)
    const [response] = await once(call(port), 'response')
    const broken = once(response, 'error')
    response.resume()
    await clock.advance(200)
    assert.equal((await broken)[0].code, 'ECONNRESET')
    await app.close()
  }
})

test('a client that leaves ends the work: the signal aborts with a cancellation', async () => {
  await using r = await rig((app, seen) => {
    app.get('/', async (request) => {
      seen.push(request.deadline)
      const { signal } = request.deadline
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
  })
  const sent = call(await listen(r.app))
  await eventually('the handler', () => r.seen.length > 0)
  const { signal } = r.seen[0]!
  const aborted = once(signal, 'abort')
  sent.destroy()
  await aborted
  assert.equal(signal.reason.code, 'KEELSON_CLIENT_GONE')
  assert.equal(signal.reason.kind, 'cancelled')
  assert.equal(r.seen[0]?.remainingMs, 0)
  assert.equal(r.clock.pendingTimers, 0)
})

// https://github.com/fastify/fastify/pull/6725
test("the signal outlives the body of a POST, where Fastify's own aborts with the client still there", async () => {
  const go = Promise.withResolvers<void>()
  const signals: AbortSignal[] = []
  await using r = await rig((app) => {
    app.post('/', async (request) => {
      signals.push(request.deadline.signal, request.signal)
      await go.promise
      return { ownAborted: request.deadline.signal.aborted }
    })
  })
  const sent = call(await listen(r.app), { method: 'POST', body: '{"a":1}' })
  const responding = once(sent, 'response')
  await eventually("Fastify's signal", () => signals[1]?.aborted)
  assert.equal(signals[0]?.aborted, false)
  go.resolve()
  const [response] = await responding
  assert.deepEqual(await new Response(Readable.toWeb(response) as never).json(), { ownAborted: false })
})

test('a POST whose client leaves is ended like any other', async () => {
  await using r = await rig((app, seen) => {
    app.post('/', async (request) => {
      seen.push(request.deadline)
      const { signal } = request.deadline
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
  })
  const sent = call(await listen(r.app), { method: 'POST', body: '{"a":1}' })
  await eventually('the handler', () => r.seen.length > 0)
  const aborted = once(r.seen[0]!.signal, 'abort')
  sent.destroy()
  await aborted
  assert.equal(r.seen[0]?.signal.reason.code, 'KEELSON_CLIENT_GONE')
})

test('a request that was answered leaves no timer, and its signal never aborts', async () => {
  await using r = await rig((app, seen) => {
    ask(app, seen, '/')
    app.get('/boom', async () => {
      throw new Error('boom')
    })
  })
  for (const url of ['/', '/boom', '/unknown']) await r.app.inject(url)
  assert.equal(r.clock.pendingTimers, 0)
  await r.clock.advance(60_000)
  assert.equal(r.seen[0]?.signal.aborted, false)
})

test('a body that does not arrive in time is answered with 408, and the handler is not called', async () => {
  let called = false
  await using r = await rig((app) => {
    app.post('/', { deadlineMs: 100 }, async () => {
      called = true
    })
  })
  const port = await listen(r.app)
  const headers = { 'content-type': 'application/json', 'content-length': 100 }
  const sent = httpRequest({ host: '127.0.0.1', port, method: 'POST', path: '/', headers })
  sent.on('error', () => {})
  sent.write('{')
  const responding = once(sent, 'response')
  await eventually('the request', () => r.clock.pendingTimers > 0)
  await r.clock.advance(200)
  const [response] = await responding
  assert.equal(response.statusCode, 408)
  assert.equal(response.headers.connection, 'close')
  assert.equal(called, false)
  sent.destroy()
})

test('a value that is no time keeps the app from starting, and the error names the route', async () => {
  for (const [value, shown] of [
    [0, '0'],
    [-5, '-5'],
    [Number.NaN, 'NaN'],
    ['2s', '2s'],
  ] as const) {
    const message = `GET /slow: \`deadlineMs\` must be a number of milliseconds >= 1, got ${shown}`
    const refused = { code: 'KEELSON_CONFIG_INVALID', message }
    const options = { deadlineMs: value as number }
    await assert.rejects(
      rig((app, seen) => ask(app, seen, '/slow', options)),
      refused,
    )
    await assert.rejects(
      rig((app, seen) => ask(app, seen, '/slow', { config: { keelson: options } })),
      refused,
    )
  }
  const twice = { deadlineMs: 100, config: { keelson: { deadlineMs: 200 } } }
  await assert.rejects(
    rig((app, seen) => ask(app, seen, '/slow', twice)),
    { code: 'KEELSON_CONFIG_INVALID', message: /^GET \/slow: `deadlineMs` must not say two things/ },
  )
})

test('options that cannot work are refused', async () => {
  const refused = { code: 'KEELSON_CONFIG_INVALID' }
  for (const options of [{ defaultMs: 0 }, { graceMs: -1 }, { trustCaller: true }, { timeoutMs: 5 }]) {
    await assert.rejects(
      rig(() => {}, options as never),
      refused,
    )
  }
})

test('it works alone: an app with nothing else of ours answers 504 too', async () => {
  const clock = new ManualClock()
  await using app = Fastify()
  await app.register(deadline, { clock, defaultMs: 100 })
  let calls = 0
  app.get('/deaf', () => {
    calls++
    return new Promise(() => {})
  })
  app.get('/obedient', async ({ deadline: { signal } }) => {
    calls++
    await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  })
  for (const url of ['/deaf', '/obedient']) {
    const before = calls
    const answering = app.inject(url)
    await eventually('the handler', () => calls > before)
    await clock.advance(200)
    assert.equal((await answering).statusCode, 504, url)
  }
  assert.equal(clock.pendingTimers, 0)
})
