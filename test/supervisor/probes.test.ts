/** What the probes say about each state, and what the admin listener answers. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { livez, readyz, startupz, type SupervisorState, type WorkerStatus } from '../../src/supervisor/index.ts'
import { ANYWHERE, eventually, get, startArbiter, text } from './fixtures/running.ts'

const worker = (given: Partial<WorkerStatus> = {}): WorkerStatus => ({
  id: 1,
  pid: 1,
  state: 'serving',
  ready: true,
  reasons: [],
  degraded: [],
  ageMs: 1_000,
  silentMs: 500,
  ...given,
})

const state = (given: Partial<SupervisorState> = {}): SupervisorState => ({
  phase: 'running',
  gaveUp: false,
  silentMs: 0,
  workers: [worker()],
  ...given,
})

const unready = worker({ ready: false, reasons: ['database'] })

/** State · live · ready · started, as in the table of probe semantics. */
const TABLE: readonly [string, SupervisorState, boolean, boolean, boolean][] = [
  ['booting', state({ phase: 'starting', workers: [worker({ state: 'booting', ready: false })] }), true, false, false],
  ['normal', state(), true, true, true],
  ['degraded', state({ workers: [worker({ degraded: ['redis'] })] }), true, true, true],
  ['database down', state({ workers: [unready] }), true, false, true],
  ['one of two not ready', state({ workers: [unready, worker({ id: 2 })] }), true, true, true],
  ['draining', state({ phase: 'draining' }), true, false, true],
  ['stopping', state({ phase: 'stopping' }), true, false, true],
  ['no worker', state({ workers: [] }), true, false, true],
  ['only a leaving worker', state({ workers: [worker({ state: 'leaving' })] }), true, false, true],
  ['every worker blocked', state({ silentMs: 44_000, workers: [worker({ silentMs: 44_000 })] }), true, false, true],
  ['every worker silent for too long', state({ silentMs: 45_001, workers: [worker({ silentMs: 45_001 })] }), false, false, true],
  ['gave up', state({ phase: 'stopping', gaveUp: true }), false, false, true],
]

for (const [name, given, live, ready, started] of TABLE) {
  test(`probes, ${name}: live ${live}, ready ${ready}, started ${started}`, () => {
    assert.deepEqual([livez(given).ok, readyz(given).ok, startupz(given).ok], [live, ready, started])
  })
}

test('readiness says why not, once for each reason, and what is degraded', () => {
  const both = [unready, worker({ id: 2, ready: false, reasons: ['database', 'schema'] })]
  assert.deepEqual(readyz(state({ workers: both })).reasons, ['database', 'schema'])
  const degraded = [worker({ degraded: ['redis'] }), worker({ id: 2, degraded: ['redis'] })]
  assert.deepEqual(readyz(state({ workers: degraded })).degraded, ['redis'])
})

test('the admin listener follows a worker from boot to readiness and out of it', async () => {
  await using service = await startArbiter()
  const probe = async (name: string): Promise<number> => (await get(`${service.adminUrl}/${name}`)).status
  assert.deepEqual([await probe('livez'), await probe('readyz'), await probe('startupz')], [200, 503, 503])
  await service.arbiter.whenReady()
  assert.deepEqual([await probe('livez'), await probe('readyz'), await probe('startupz')], [200, 200, 200])

  await text(`${service.url}/unready`)
  await service.log.first('worker.unready')
  const answer = await get(`${service.adminUrl}/readyz`)
  assert.deepEqual([answer.status, await answer.json()], [503, { status: 'unavailable', reasons: ['told_so'], degraded: [] }])
  assert.deepEqual([await probe('livez'), await probe('startupz')], [200, 200])
})

test('it answers GET and HEAD for any valid host, uncached, and nothing else', async () => {
  await using service = await startArbiter()
  await service.arbiter.whenReady()
  const ready = await get(`${service.adminUrl}/readyz?verbose`)
  assert.equal(ready.headers.get('cache-control'), 'no-store')
  assert.equal(ready.headers.get('content-type'), 'application/json')
  const head = await get(`${service.adminUrl}/readyz`, { method: 'HEAD' })
  assert.deepEqual([head.status, await head.text()], [200, ''])
  const post = await get(`${service.adminUrl}/readyz`, { method: 'POST', body: '{}' })
  assert.deepEqual([post.status, post.headers.get('allow')], [405, 'GET, HEAD'])
  assert.equal((await get(`${service.adminUrl}/metrics`)).status, 404)

  const { port } = service.arbiter.addresses.admin
  const status = (host: string): Promise<string> => rawStatus(port, `GET /livez HTTP/1.1\r\n${host}Connection: close\r\n\r\n`)
  assert.equal(await status('Host: 10.1.2.3:9464\r\n'), '200')
  assert.equal(await status('Host: [fd00::1]:9464\r\n'), '200')
  assert.equal(await status('Host: a b@c/\r\n'), '400')
  assert.equal(await status('Host: a\r\nHost: b\r\n'), '400')
  assert.equal(await status(''), '400')
})

test('pages get the workers and their figures; one that throws is a 500 and an event', async () => {
  await using service = await startArbiter({
    mergeMetrics: (sum, more) => ({ requests: (sum as Figures).requests + (more as Figures).requests }),
    admin: {
      ...ANYWHERE,
      pages: {
        '/figures': ({ reports, workers, request }) => ({
          status: 200,
          contentType: 'application/json',
          body: JSON.stringify({ reports, workers: workers.length, from: request.remoteAddress }),
        }),
        '/broken': () => Promise.reject(new Error('no page')),
      },
    },
  })
  await service.arbiter.whenReady()
  await text(service.url)
  await text(`${service.url}/stray`)
  await service.log.first('worker.exited')
  await service.log.nth('worker.ready', 2)
  await text(service.url)
  const figures = async (): Promise<{ reports: { live: { metrics: Figures }[]; retired: Figures[] }; from: string }> =>
    JSON.parse(await text(`${service.adminUrl}/figures`))
  await eventually('the new worker to report', async () => (await figures()).reports.live[0]?.metrics.requests === 1)
  const { reports, from } = await figures()
  assert.deepEqual([reports.retired, from], [[{ requests: 2 }], '127.0.0.1'])

  assert.equal((await get(`${service.adminUrl}/broken`)).status, 500)
  assert.deepEqual([(await service.log.first('page.failed')).path], ['/broken'])
})

interface Figures {
  readonly requests: number
}

async function rawStatus(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  socket.end(request)
  const [first] = (await once(socket, 'data')) as [string]
  socket.destroy()
  return first.slice(9, 12)
}
