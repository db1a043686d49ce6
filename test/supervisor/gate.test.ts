/** Starting: the first worker goes first. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isKeelsonError } from '../../src/core/errors.ts'
import { isAlive, startArbiter } from './fixtures/running.ts'

test('the other workers start only when the first has booted, and are ready soon after', async () => {
  await using service = await startArbiter({ workers: 3 })
  await service.log.nth('worker.ready', 3)
  const [first, ...others] = service.log.types().filter((type) => type === 'worker.started' || type === 'worker.booted')
  assert.deepEqual([first, ...others.slice(0, 3)], ['worker.started', 'worker.booted', 'worker.started', 'worker.started'])
  assert.deepEqual(
    service.arbiter.state().workers.map((worker) => [worker.id, worker.state]),
    [1, 2, 3].map((id) => [id, 'serving']),
  )
  const { startupMs } = await service.log.first('arbiter.ready')
  const { bootMs } = await service.log.first('worker.booted')
  console.log(`# start to ready ${startupMs.toFixed(0)} ms, of which the worker ${bootMs.toFixed(0)} ms`)
})

test('a wrong configuration ends the service at once with exit code 78', async () => {
  await using service = await startArbiter({ workers: 2, env: { TEST_BOOT: 'config' } })
  assert.equal(await service.arbiter.exited, 78)
  assert.equal(service.log.all('worker.started').length, 1)
  assert.equal((await service.log.first('worker.boot_failed')).error.code, 'KEELSON_CONFIG_INVALID')
  assert.equal((await service.log.first('arbiter.gave_up')).reason, 'config')
})

test('failures to boot are retried with growing delays, then the service ends with exit code 1', async () => {
  await using service = await startArbiter({
    env: { TEST_BOOT: 'throw' },
    random: () => 0,
    restart: { baseDelayMs: 10, maxFailures: 3 },
  })
  await assert.rejects(service.arbiter.whenReady(), (error) => isKeelsonError(error, 'KEELSON_NOT_STARTED'))
  assert.equal(await service.arbiter.exited, 1)
  assert.equal(service.log.all('worker.started').length, 3)
  assert.deepEqual(
    service.log.all('restart.delayed').map((event) => event.delayMs),
    [10, 20],
  )
  assert.equal((await service.log.first('arbiter.gave_up')).failures, 3)
})

test('a stop while the first worker boots ends it without waiting for it', async () => {
  await using service = await startArbiter({ env: { TEST_BOOT: 'hang' }, drainDelayMs: 60_000 })
  const { pid } = await service.log.first('worker.started')
  service.arbiter.signal('SIGTERM')
  assert.equal(await service.arbiter.exited, 0)
  assert.equal(isAlive(pid), false)
})
