/** The end of processes while clients are at work: a planned one costs no request, an unplanned one only those in its hands. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Load, type Failure } from '../support/load.ts'
import { startService, type RunningService } from '../support/running-service.ts'
import { eventually, timed } from '../support/waiting.ts'

const DRAIN_DELAY_MS = 300

/** The promise is two seconds on a machine that has nothing else to do. */
const REPLACED_WITHIN_MS = 15_000

test('TERM under load fails no request that a worker had taken; new connections are refused only after the delay', async (t) => {
  await using service = await startService({ env: { DRAIN_DELAY_MS: `${DRAIN_DELAY_MS}` } })
  await service.workersReady(2)
  await using keeping = load(service, true)
  await using renewing = load(service, false)
  await Promise.all([keeping.answered(500), renewing.answered(500)])
  const unready = eventually('readiness to end', async () => (await service.probe('readyz')).status === 503, { everyMs: 2 })
  const toldAt = performance.now()
  const stopping = service.stop('SIGTERM')
  await unready
  const unreadyAt = performance.now()
  const status = await stopping
  const stoppedAt = performance.now()
  await Promise.all([keeping.stop(), renewing.stop()])

  const failures = [...keeping.failures, ...renewing.failures]
  const taken = requestsSeen(service)
  t.diagnostic(
    `${keeping.ok + renewing.ok} answered; not ready ${Math.round(unreadyAt - toldAt)} ms after TERM, ` +
      `all gone after ${Math.round(stoppedAt - toldAt)} ms; not taken: ${summary(failures)}`,
  )
  assert.equal(status, 0)
  assert.deepEqual(
    failures.filter(({ requestId }) => taken.has(requestId)),
    [],
    'a worker had it',
  )
  assert.deepEqual(
    failures.filter(({ reused }) => reused),
    [],
    'on a connection that was in use',
  )
  assert.deepEqual(
    failures.filter(({ failedAt }) => failedAt < toldAt + DRAIN_DELAY_MS),
    [],
    'before the delay was over',
  )
  const cut = service.logs().filter(({ event }) => event === 'worker.drained')
  assert.deepEqual(
    cut.map(({ cutRequests }) => cutRequests),
    [0, 0],
  )
})

test('SIGKILL of a worker under load fails only what it had in its hands; nobody hangs, nobody is refused', async (t) => {
  await using service = await startService({ env: { DRAIN_DELAY_MS: '0' } })
  const pids = await service.workersReady(2)
  const victim = pids[0]!
  await using keeping = load(service, true)
  await using renewing = load(service, false)
  await using watching = watchCounter(service)
  await Promise.all([keeping.answered(500), renewing.answered(500)])

  process.kill(victim, 'SIGKILL')
  const killedAt = performance.now()
  const [ms, now] = await timed(() =>
    eventually('a replacement', async () => {
      const ready = (await service.workers()).filter((worker) => worker.ready && worker.pid !== victim)
      return ready.length === 2 && ready.map(({ pid }) => pid)
    }),
  )
  await Promise.all([keeping.answered(500), renewing.answered(500)])
  await eventually('the metrics of all', () => watching.values.length > 5)
  await Promise.all([keeping.stop(), renewing.stop(), watching.stop()])

  const failures = [...keeping.failures, ...renewing.failures]
  t.diagnostic(`${keeping.ok + renewing.ok} answered; a replacement was ready after ${ms} ms; failed: ${summary(failures)}`)
  t.diagnostic(`the longest request took ${Math.round(Math.max(keeping.longestMs, renewing.longestMs))} ms`)
  assert.ok(ms < REPLACED_WITHIN_MS)
  assert.equal(now.includes(pids[1]!), true)
  assert.deepEqual(
    failures.filter(({ code }) => code === 'ECONNREFUSED' || code === 'HUNG' || /^\d+$/.test(code)),
    [],
  )
  assert.ok(failures.length <= CLIENTS * 2, `at most one per client: ${summary(failures)}`)
  assert.deepEqual(
    failures.filter(({ sentAt }) => sentAt > killedAt + 1_000),
    [],
    'sent after it was dead',
  )
  const survivor = requestsSeen(service, pids[1])
  assert.deepEqual(
    failures.filter(({ requestId }) => survivor.has(requestId)),
    [],
    'in the hands of the other worker',
  )
  const falls = watching.values.filter((value, i) => value < (watching.values[i - 1] ?? 0))
  assert.deepEqual(falls, [], watching.values.join(' '))
  assert.equal(await service.stop(), 0)
})

test('with no worker alive new connections wait, and are answered by the replacement', async (t) => {
  await using service = await startService({ workers: 1 })
  const [pid] = await service.workersReady(1)
  using client = service.client()
  process.kill(pid!, 'SIGKILL')
  const answer = await client.get('/protected')
  assert.equal(answer.status, 200)
  t.diagnostic(`a request sent while no worker was alive was answered after ${Math.round(answer.ms)} ms`)
})

const CLIENTS = 8

function load({ url, authorization }: RunningService, keepAlive: boolean): Load {
  return new Load({ url, headers: authorization, clients: CLIENTS, keepAlive })
}

/** Ids of the requests that a worker, or that worker, has written a line about. */
function requestsSeen(service: RunningService, pid?: number): ReadonlySet<unknown> {
  const lines = service.logs().filter((line) => line.msg === 'request' && (pid === undefined || line.pid === pid))
  return new Set(lines.map((line) => line['requestId']))
}

function summary(failures: readonly Failure[]): string {
  const kinds = Object.groupBy(failures, ({ code, reused }) => `${code} on a ${reused ? 'used' : 'new'} connection`)
  return (
    Object.entries(kinds)
      .map(([kind, list]) => `${list?.length} ${kind}`)
      .join(', ') || 'none'
  )
}

/** Reads the total of the requests, as scraped, again and again. */
function watchCounter(service: RunningService): AsyncDisposable & { readonly values: readonly number[]; stop(): Promise<void> } {
  const values: number[] = []
  let stopped = false
  async function watch(): Promise<void> {
    while (!stopped) {
      const metrics = await service.metrics()
      const series = [...metrics.matchAll(/^http_requests_total\{.*\} (\d+)$/gm)]
      if (series.length > 0) values.push(series.reduce((sum, [, value]) => sum + Number(value), 0))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const watching = watch()
  const stop = async (): Promise<void> => {
    stopped = true
    await watching
  }
  return { values, stop, [Symbol.asyncDispose]: stop }
}
