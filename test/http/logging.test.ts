import assert from 'node:assert/strict'
import { connect, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { inspect } from 'node:util'
import Fastify, { LogController, type FastifyInstance } from 'fastify'
import fc from 'fast-check'
import { createEmitter } from '../../src/core/telemetry.ts'
import { KeelsonError } from '../../src/core/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import { context, requestIdOptions } from '../../src/http/context/index.ts'
import { clientErrorHandler, errors } from '../../src/http/errors/index.ts'
import { createLogger, logEvents, logging, type LoggingOptions } from '../../src/http/logging/index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'

type Line = Record<string, unknown>

/** Collects lines, and lets a test wait for one. */
class Lines {
  readonly all: Line[] = []
  readonly raw: string[] = []
  readonly #waiting = new Set<() => void>()

  write(line: string): void {
    this.raw.push(line)
    this.all.push(JSON.parse(line))
    for (const each of this.#waiting) each()
  }

  of(msg: string): Line[] {
    return this.all.filter((line) => line['msg'] === msg)
  }

  async count(msg: string, n: number): Promise<Line[]> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const check = (): void => void (this.of(msg).length >= n && resolve())
    this.#waiting.add(check)
    check()
    await promise
    return this.of(msg)
  }
}

interface Harness extends AsyncDisposable {
  readonly app: FastifyInstance
  readonly lines: Lines
  port(): Promise<number>
}

async function service(options: Partial<LoggingOptions> = {}, withErrors = true): Promise<Harness> {
  const lines = new Lines()
  const { logger } = createLogger({ name: 'users', version: '1.2.3', destination: lines })
  const app = Fastify({
    ...requestIdOptions(),
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    clientErrorHandler: clientErrorHandler as never,
  }) as unknown as FastifyInstance
  await app.register(context)
  await app.register(logging, options)
  if (withErrors) await app.register(errors)
  app.get('/users/:id', async () => ({ ok: true }))
  app.get('/throws', async () => {
    throw new Error('inside', { cause: new Error('connect postgres://admin:s3cret@db/x failed') })
  })
  app.get('/shed', async () => {
    throw new KeelsonError('KEELSON_SHED', 'overloaded', 'too busy')
  })
  app.get('/probe', { config: { keelson: { log: false } } as object }, async () => 'ok')
  return {
    app,
    lines,
    async port() {
      await app.listen({ host: '127.0.0.1', port: 0 })
      return (app.server.address() as AddressInfo).port
    },
    [Symbol.asyncDispose]: () => app.close(),
  }
}

test('one line per request, with what an operator asks for', async () => {
  await using t = await service()
  const traceparent = '00-12345678901234567890123456789012-1234567890123456-01'
  await t.app.inject({ url: '/users/42?token=abcdef', headers: { traceparent, 'x-request-id': 'my-request' } })
  const [line, ...more] = await t.lines.count('request', 1)
  assert.deepEqual(more, [])
  const { time, pid, spanId, durationMs, ...rest } = line as Line
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.equal(pid, process.pid)
  assert.match(String(spanId), /^[0-9a-f]{16}$/)
  assert.ok(typeof durationMs === 'number' && durationMs >= 0)
  assert.deepEqual(rest, {
    level: 'info',
    service: 'users',
    version: '1.2.3',
    requestId: 'my-request',
    traceId: '12345678901234567890123456789012',
    method: 'GET',
    route: '/users/:id',
    status: 200,
    bytes: 11,
    remoteAddress: '127.0.0.1',
    msg: 'request',
  })
})

test('a path is shown where there is no route, never with its query', async () => {
  await using t = await service()
  await t.app.inject('/no/such?password=geheim')
  const [line] = await t.lines.count('request', 1)
  assert.equal(line?.['route'], '<unmatched>')
  assert.equal(line?.['path'], '/no/such')
  assert.equal(line?.['errorCode'], 'KEELSON_NOT_FOUND')
  assert.ok(!t.lines.raw.join('').includes('geheim'))

  await using always = await service({ path: 'always', remoteAddress: false })
  await always.app.inject('/users/7?x=1')
  const [shown] = await always.lines.count('request', 1)
  assert.equal(shown?.['path'], '/users/7')
  assert.equal(shown?.['remoteAddress'], undefined)
})

test('a handler that throws: the line says 500, and error and cause are logged once under the same id', async () => {
  await using t = await service()
  const reply = await t.app.inject('/throws')
  const [line] = await t.lines.count('request', 1)
  assert.equal(line?.['level'], 'error')
  assert.equal(line?.['status'], 500)
  assert.ok(reply.json().instance.endsWith(line?.['errorId']))
  const withError = t.lines.all.filter((each) => 'err' in each)
  assert.equal(withError.length, 1)
  assert.equal(withError[0]?.['errorId'], line?.['errorId'])
  const err = withError[0]?.['err'] as { message: string; stack: string; cause: { message: string } }
  assert.equal(err.message, 'inside')
  assert.match(err.stack, /logging\.test\.ts/)
  assert.equal(err.cause.message, 'connect postgres://[redacted]@db/x failed')
})

test('without http/errors the error is in the line itself', async () => {
  await using t = await service({}, false)
  await t.app.inject('/throws')
  const [line] = await t.lines.count('request', 1)
  assert.equal((line?.['err'] as { message: string } | undefined)?.message, 'inside')
  assert.equal(t.lines.all.filter((each) => 'err' in each).length, 1)
})

test('a client that leaves before or in the middle of its answer is one line with status 499', async () => {
  await using t = await service()
  const arrived: (() => void)[] = []
  t.app.get('/slow', async () => {
    arrived.shift()?.()
    await new Promise(() => {})
  })
  t.app.get('/endless', (_request, reply) => {
    reply.hijack()
    reply.raw.write('the beginning')
    arrived.shift()?.()
  })
  const port = await t.port()
  for (const [i, url] of ['/slow', '/endless'].entries()) {
    const { promise, resolve } = Promise.withResolvers<void>()
    arrived.push(resolve)
    const socket = connect(port, '127.0.0.1')
    socket.write(`GET ${url} HTTP/1.1\r\nHost: a\r\n\r\n`)
    await promise
    socket.destroy()
    const lines = await t.lines.count('request', i + 1)
    assert.equal(lines.length, i + 1)
    const line = lines[i]
    assert.deepEqual([line?.['route'], line?.['status'], line?.['aborted'], line?.['level']], [url, 499, true, 'info'])
  }
})

test('a silenced route writes no line', async () => {
  await using t = await service()
  await t.app.inject('/probe')
  await t.app.inject('/users/1')
  await t.lines.count('request', 1)
  assert.deepEqual(
    t.lines.of('request').map((line) => line['route']),
    ['/users/:id'],
  )
})

test('refused requests are sampled, and the next line says how many were left out', async () => {
  const clock = new ManualClock()
  await using t = await service({ clock, refusedPerSecond: 3 })
  for (let i = 0; i < 10; i++) await t.app.inject('/shed')
  assert.equal(t.lines.of('request').length, 3)
  await clock.advance(1_000)
  await t.app.inject('/shed')
  const lines = await t.lines.count('request', 4)
  assert.deepEqual(
    lines.map((line) => line['suppressed']),
    [undefined, undefined, undefined, 7],
  )
  await t.app.inject('/users/1')
  assert.equal(t.lines.of('request').length, 5, 'other requests are not sampled')
})

test('what the parser refuses is one line with the id that the client got', async () => {
  await using t = await service()
  const socket = connect(await t.port(), '127.0.0.1')
  socket.end('NOT HTTP\r\n\r\n')
  socket.setEncoding('utf8')
  let reply = ''
  for await (const chunk of socket) reply += chunk
  const lines = (await t.lines.count('request refused', 1)).filter((line) => line['errorCode'])
  assert.equal(lines.length, 1)
  assert.ok(reply.includes(String(lines[0]?.['errorId'])))
  assert.equal(lines[0]?.['status'], 400)
})

test('secrets are masked by type, by field and inside of texts', () => {
  const canary = 'c4n4ry-v4lu3'
  const lines = new Lines()
  const { logger } = createLogger({ destination: lines, redact: ['favourite-Colour'] })
  const jwt = `eyJhbGciOiJIUzI1NiJ9.${Buffer.from(canary).toString('base64url')}.${canary}`
  logger.info({
    a: new Secret(canary),
    headers: {
      authorization: canary,
      Cookie: canary,
      'x-api-key': canary,
      'proxy-authorization': canary,
      'set-cookie': [canary],
    },
    user: {
      password: canary,
      PASSWD: canary,
      refresh_token: canary,
      smtpPassword: canary,
      card: canary,
      cvv: canary,
      ssn: canary,
    },
    deep: [{ deep: { client_secret: { nested: canary } } }],
    favourite_colour: canary,
    DATABASE_URL: canary,
  })
  logger.info({ url: `/x?access_token=${canary}&a=1&sig=${canary}`, dsn: `redis://user:${canary}@host:6379/0` })
  logger.info(`failed: postgres://admin:${canary}@10.0.0.5/db with Bearer ${canary}, password=${canary}`)
  logger.error(new Error(`GET https://h/?key=${canary}`, { cause: new Error(`Basic ${canary}`) }))
  logger.info({ note: jwt }, jwt)
  logger.child({ session: `token=${canary}` }).info('child')
  logger.info('%o', { password: new Secret(canary) })
  const all = lines.raw.join('')
  assert.ok(!all.includes(canary), all)
  assert.ok(!all.includes(Buffer.from(canary).toString('base64url')))
  assert.ok(all.includes('@10.0.0.5/db') && all.includes('@host:6379'), 'the host stays')
  assert.equal(
    (String(new Secret(canary)) + JSON.stringify({ s: new Secret(canary) }) + inspect(new Secret(canary))).includes(canary),
    false,
  )
  assert.equal(new Secret(canary).reveal(), canary)
})

test('no input forges a line, hides text or breaks JSON', () => {
  const nasty = fc.string({ unit: 'binary' })
  // oxlint-disable-next-line no-control-regex
  const forbidden = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/
  const lines = new Lines()
  const { logger } = createLogger({ destination: lines })
  fc.assert(
    fc.property(nasty, nasty, (text, key) => {
      logger.info({ text, [`k${key}`]: 1 }, text)
      const line = lines.raw.at(-1) as string
      assert.ok(line.endsWith('\n') && !forbidden.test(line.slice(0, -1)))
      if (!/[=:]|earer|asic|eyJ/i.test(text)) assert.equal(lines.all.at(-1)?.['text'], text)
    }),
  )
  for (const text of ['\r\n{"level":60}', '\u001b[31mred', 'a\u2028b\u202Ec\u0085d\ufeff']) {
    logger.info({ text })
    assert.equal(lines.all.at(-1)?.['text'], text)
    assert.ok(!forbidden.test((lines.raw.at(-1) as string).slice(0, -1)))
  }
})

test('what is logged is bounded, and cycles, dates, bytes and odd values survive', () => {
  const lines = new Lines()
  const { logger } = createLogger({ destination: lines })
  const cycle: Record<string, unknown> = { at: new Date(0), bytes: Buffer.alloc(1e6), big: 10n, map: new Map(), fn() {} }
  cycle['self'] = cycle
  logger.info({ cycle, text: 'x'.repeat(1e6), wide: Object.fromEntries(Array.from({ length: 500 }, (_, i) => [i, i])) })
  logger.info({
    get bad(): string {
      throw new Error('from a getter')
    },
  })
  assert.equal(lines.all[1]?.['unreadable'], true)
  const line = lines.all[0] as { cycle: Line; text: string; wide: Line }
  assert.equal(line.cycle['at'], '1970-01-01T00:00:00.000Z')
  assert.equal(line.cycle['bytes'], '[1000000 bytes]')
  assert.equal(line.cycle['big'], '10')
  assert.equal(line.text.length, 1_025)
  assert.equal(Object.keys(line.wide).length, 51)
})

test('notable module events become lines, frequent ones are sampled, the rest are not', async () => {
  const lines = new Lines()
  const { logger } = createLogger({ destination: lines })
  const clock = new ManualClock()
  const listening = logEvents(logger, clock)
  const emit = createEmitter<{ type: string; source: string; [fact: string]: unknown }>('keelson:resilience')
  emit({ type: 'breaker.opened', source: 'billing', reason: 'failures', openMs: 5_000 })
  emit({ type: 'bulkhead.rejected', source: 'billing' })
  emit({ type: 'retry.scheduled', source: 'billing' })
  const postgres = createEmitter<{ type: string; source: string; error: unknown }>('keelson:postgres')
  for (let i = 0; i < 50; i++) postgres({ type: 'connection.lost', source: 'main', error: new Error('gone') })
  await clock.advance(1_000)
  postgres({ type: 'connection.lost', source: 'main', error: new Error('gone') })
  listening[Symbol.dispose]()
  emit({ type: 'breaker.opened', source: 'billing' })

  assert.equal(lines.of('breaker opened').length, 1)
  const { time, pid, ...opened } = lines.of('breaker opened')[0] as Line
  assert.ok(time && pid)
  assert.deepEqual(opened, {
    level: 'warn',
    service: 'service',
    module: 'resilience',
    event: 'breaker.opened',
    source: 'billing',
    reason: 'failures',
    openMs: 5_000,
    msg: 'breaker opened',
  })
  const lost = lines.of('connection lost')
  assert.equal(lost.length, 11)
  assert.equal(lost.at(-1)?.['suppressed'], 40)
  assert.equal((lost[0]?.['err'] as { message: string } | undefined)?.message, 'gone')
  assert.equal(lines.all.length, 12)
})

test('options that make no sense are refused by name', async () => {
  assert.throws(() => createLogger({ level: 'loud' as never }), { code: 'KEELSON_CONFIG_INVALID' })
  const app = Fastify()
  await assert.rejects(async () => app.register(logging, { path: 'sometimes' as never }), { code: 'KEELSON_CONFIG_INVALID' })
})

test('a closed app listens to nothing any more', async () => {
  const t = await service()
  await t.app.close()
  createEmitter<{ type: string; source: string }>('keelson:http')({ type: 'request.refused', source: 'parser' })
  assert.deepEqual(t.lines.of('request refused'), [])
})
