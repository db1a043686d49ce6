import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import { createPipeline } from '../../src/resilience/index.ts'
import { createEmitter } from '../../src/core/telemetry.ts'
import { metrics, renderPrometheus, type MetricsOptions } from '../../src/http/metrics/index.ts'
import { parsePrometheus, type Sample } from '../core/prometheus-parser.ts'

async function service(options: Partial<MetricsOptions> = {}): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(metrics, options)
  app.get('/users/:id', async () => ({ ok: true }))
  app.post('/users', async (_request, reply) => reply.code(201).send({}))
  app.get('/throws', async () => {
    throw new Error('no')
  })
  app.route({ method: ['PUT', 'PATCH'], url: '/both', handler: async () => 'ok' })
  return app
}

/** Values of a metric by its labels, e.g. `GET /users/:id 200`. */
function values(app: FastifyInstance, name: string): Record<string, number> {
  const family = parsePrometheus(renderPrometheus(app.metrics.snapshot())).get(name.replace(/_count$/, ''))
  const samples = (family?.samples ?? []).filter((sample) => sample.name === name)
  return Object.fromEntries(samples.map((sample: Sample) => [Object.values(sample.labels).join(' '), sample.value]))
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2_000 && !condition(); i++) await new Promise(setImmediate)
  assert.ok(condition())
}

test('requests are counted per method, route template and status', async () => {
  await using app = await service()
  for (let i = 0; i < 3; i++) await app.inject(`/users/${i}`)
  await app.inject({ method: 'HEAD', url: '/users/1' })
  await app.inject({ method: 'POST', url: '/users' })
  await app.inject({ method: 'PUT', url: '/both' })
  await app.inject({ method: 'PATCH', url: '/both' })
  await app.inject('/throws')
  await app.inject('/nowhere?x=1')
  const expected = {
    'GET /users/:id 200': 3,
    'HEAD /users/:id 200': 1,
    'POST /users 201': 1,
    'PUT /both 200': 1,
    'PATCH /both 200': 1,
    'GET /throws 500': 1,
    'GET <unmatched> 404': 1,
  }
  await until(() => Object.keys(values(app, 'http_requests_total')).length === 7)
  assert.deepEqual(values(app, 'http_requests_total'), expected)
  assert.deepEqual(values(app, 'http_request_duration_seconds_count'), expected)
  assert.deepEqual(values(app, 'http_requests_in_flight'), { '': 0 })
})

test('three thousand invented paths and methods are two series', async () => {
  await using app = await service()
  const before = renderPrometheus(app.metrics.snapshot()).split('\n').length
  for (let i = 0; i < 3_000; i++) await app.inject({ method: i % 2 ? 'PROPFIND' : 'GET', url: `/r/${i}` })
  const series = Object.keys(values(app, 'http_requests_total'))
  assert.deepEqual(series, ['GET <unmatched> 404', 'other <unmatched> 404'])
  assert.ok(renderPrometheus(app.metrics.snapshot()).split('\n').length - before < 50)
})

test('a client that leaves counts as 499, and is in flight no longer', async () => {
  await using app = await service()
  const { promise: arrived, resolve } = Promise.withResolvers<void>()
  app.get('/slow', () => {
    resolve()
    return new Promise(() => {})
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  socket.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
  await arrived
  assert.deepEqual(values(app, 'http_requests_in_flight'), { '': 1 })
  socket.destroy()
  await once(socket, 'close')
  await until(() => values(app, 'http_requests_in_flight')[''] === 0)
  assert.deepEqual(values(app, 'http_requests_total'), { 'GET /slow 499': 1 })
})

test('refusals of parser and router are counted where no hook sees them, until the app is closed', async () => {
  const app = await service()
  const emit = createEmitter<{ type: string; source: string; status: number; code: string; errorId: string }>('keelson:http')
  const refusal = { type: 'request.refused', source: 'parser', status: 431, code: 'KEELSON_HEADERS_TOO_LARGE', errorId: 'x' }
  emit(refusal)
  assert.deepEqual(values(app, 'http_requests_refused_total'), { 'parser 431 KEELSON_HEADERS_TOO_LARGE': 1 })
  await app.close()
  emit(refusal)
  assert.deepEqual(values(app, 'http_requests_refused_total'), { 'parser 431 KEELSON_HEADERS_TOO_LARGE': 1 })
})

test('a service adds its own metrics, and a prom-client registry is shown beside them', async () => {
  const registry = {
    getMetricsAsJSON: async () => [
      { name: 'legacy_jobs_total', help: 'Jobs.', type: 'counter', values: [{ value: 4, labels: { queue: 'mail' } }] },
      { name: 'process_cpu_seconds_total', help: 'Theirs.', type: 'counter', values: [{ value: 1, labels: {} }] },
      { name: 'legacy_summary', help: 'No sum.', type: 'summary', values: [] },
      {
        name: 'legacy_seconds',
        help: 'Time.',
        type: 'histogram',
        values: [
          { metricName: 'legacy_seconds_bucket', value: 1, labels: { le: 0.1, op: 'a' } },
          { metricName: 'legacy_seconds_bucket', value: 3, labels: { le: 1, op: 'a' } },
          { metricName: 'legacy_seconds_bucket', value: 4, labels: { le: '+Inf', op: 'a' } },
          { metricName: 'legacy_seconds_sum', value: 9.5, labels: { op: 'a' } },
          { metricName: 'legacy_seconds_count', value: 4, labels: { op: 'a' } },
        ],
      },
    ],
  }
  await using app = await service({ expose: '/metrics', registry })
  app.metrics
    .counter({ name: 'mails_total', help: 'Mails.', labels: ['kind'] })
    .child('welcome')
    .inc()
  const reply = await app.inject('/metrics')
  assert.match(String(reply.headers['content-type']), /^text\/plain; version=0\.0\.4/)
  const families = parsePrometheus(reply.payload)
  assert.equal(families.get('mails_total')?.samples[0]?.value, 1)
  assert.deepEqual(families.get('legacy_jobs_total')?.samples[0]?.labels, { queue: 'mail' })
  assert.equal(families.get('process_cpu_seconds_total')?.help, 'User and system CPU time spent.')
  assert.equal(families.has('legacy_summary'), false)
  assert.deepEqual(
    families.get('legacy_seconds')?.samples.map((sample) => [sample.labels['le'], sample.value]),
    [
      ['0.1', 1],
      ['1', 3],
      ['+Inf', 4],
      [undefined, 9.5],
      [undefined, 4],
    ],
  )
})

test('the process is measured under the usual names', async () => {
  await using app = await service()
  const families = parsePrometheus(renderPrometheus(app.metrics.snapshot()))
  const value = (name: string): number => families.get(name)?.samples[0]?.value ?? Number.NaN
  assert.ok(value('process_resident_memory_bytes') > 1e6)
  assert.ok(value('process_cpu_seconds_total') > 0)
  assert.ok(Math.abs(value('process_start_time_seconds') - (Date.now() / 1e3 - process.uptime())) < 60)
  assert.ok(value('nodejs_heap_size_used_bytes') > 0)
  for (const name of ['nodejs_eventloop_lag_p99_seconds', 'nodejs_eventloop_utilization_ratio']) assert.ok(value(name) >= 0, name)
  if (process.platform === 'linux') assert.ok(value('process_open_fds') > 2)
})

test('a pipeline is read at the scrape and counted by its events, and gone when it is disposed', async () => {
  await using app = await service()
  const pipeline = createPipeline({ name: 'billing', retry: { maxAttempts: 2, baseDelayMs: 0 }, breaker: {} })
  await pipeline.run(async () => 'ok')
  const failure = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
  await assert.rejects(pipeline.run(async () => Promise.reject(failure), { repeat: 'safe' }))
  assert.deepEqual(values(app, 'resilience_calls_total'), { 'billing succeeded': 1, 'billing failed': 1 })
  assert.deepEqual(values(app, 'resilience_retries_total'), { billing: 1 })
  assert.deepEqual(values(app, 'resilience_breaker_state'), { billing: 0 })
  pipeline[Symbol.dispose]()
  assert.deepEqual(values(app, 'resilience_breaker_state'), {})
})
