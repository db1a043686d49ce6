/** The worker's side, where the service misbehaves. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { isKeelsonError } from '../../src/core/errors.ts'
import { runSingle, runWorker, type Supervisor, type WorkerService } from '../../src/supervisor/index.ts'
import { EventLog } from './fixtures/event-log.ts'
import { ANYWHERE, eventually } from './fixtures/running.ts'

async function run(given: Partial<WorkerService>, log = new EventLog()): Promise<Supervisor> {
  const service: WorkerService = {
    server: createServer(),
    readiness: () => ({ ready: true, reasons: [], degraded: [] }),
    close: async () => {},
    ...given,
  }
  return runSingle({
    listen: ANYWHERE,
    admin: ANYWHERE,
    boot: async () => service,
    handleSignals: false,
    drainDelayMs: 0,
    onEvent: log.add,
  })
}

test('runWorker is refused in a process that no arbiter started', async () => {
  const boot = (): never => assert.fail('must not boot')
  await assert.rejects(runWorker(boot), (error) => isKeelsonError(error, 'KEELSON_NOT_SUPERVISED'))
})

test('a readiness that throws makes the worker unready, not dead', async () => {
  await using service = await run({
    readiness() {
      throw new Error('no idea')
    },
  })
  await eventually('a report', () => service.state().workers[0]?.state === 'serving')
  const [worker] = service.state().workers
  assert.deepEqual([worker?.ready, worker?.reasons], [false, ['readiness_threw']])
})

test('metrics that throw cost the figures, not the readiness', async () => {
  await using service = await run({
    metrics() {
      throw new Error('no figures')
    },
  })
  await service.whenReady()
  assert.deepEqual(service.reports().live, [])
})

test('the service is told of the drain, and closed once, after the last connection', async () => {
  const calls: string[] = []
  const service = await run({ onDrain: () => void calls.push('drain'), close: async () => void calls.push('close') })
  await service.whenReady()
  assert.equal(await service.stop(), 0)
  assert.equal(await service.stop(), 0)
  assert.deepEqual(calls, ['drain', 'close'])
})

test('a close that fails ends the service with 1 and says why', async () => {
  const log = new EventLog()
  const service = await run({ close: () => Promise.reject(new Error('pool is stuck')) }, log)
  await service.whenReady()
  await service.stop()
  assert.match((await log.first('worker.failing')).error.message, /pool is stuck/)
  assert.equal((await log.first('worker.exited')).code, 1)
})

test('waiting for readiness ends when its signal aborts', async () => {
  await using service = await run({ readiness: () => ({ ready: false, reasons: ['never'], degraded: [] }) })
  const gone = new Error('gone')
  await assert.rejects(service.whenReady(AbortSignal.abort(gone)), gone)
})
