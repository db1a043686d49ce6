/** A worker that dies takes only its own requests with it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually, startArbiter, text, underWay } from './fixtures/running.ts'
import { startLoad } from './fixtures/load.ts'

const CLIENTS = 8

for (const keepAlive of [true, false]) {
  test(`SIGKILL of a worker fails only what it was doing, with keep-alive ${keepAlive}`, async () => {
    await using service = await startArbiter({ workers: 2 })
    await service.log.nth('worker.ready', 2)
    await using load = startLoad(service.port, { clients: CLIENTS, keepAlive })
    await eventually('load to flow', () => load.tally.ok > 100)

    const [victim] = service.arbiter.state().workers
    const killedAt = performance.now()
    process.kill(victim?.pid as number, 'SIGKILL')
    await service.log.nth('worker.ready', 3)
    const replacedMs = performance.now() - killedAt
    const before = load.tally.ok
    await eventually('load to flow on', () => load.tally.ok > before + 100)

    const { failed, refused, hung } = await load.stop()
    assert.equal(hung, 0)
    assert.ok(failed + refused <= CLIENTS, `${failed} failed, ${refused} refused`)
    assert.ok(replacedMs < 2_000, `replaced after ${replacedMs} ms`)
  })
}

test('a stray rejection drains its worker: requests beside it finish, the worker exits 1, a replacement starts', async () => {
  await using service = await startArbiter()
  await service.arbiter.whenReady()
  const beside = text(`${service.url}/slow?ms=400`)
  const streamed = text(`${service.url}/streamed?ms=400`)
  await underWay(service.url, 2)
  assert.equal(await text(`${service.url}/stray`), 'about to stray')

  assert.match((await service.log.first('worker.failing')).error.message, /nobody caught me/)
  assert.deepEqual([await beside, await streamed], ['late', 'late'])
  assert.equal((await service.log.first('worker.exited')).code, 1)
  const types = service.log.types()
  assert.ok(types.lastIndexOf('worker.started') < types.indexOf('worker.exited'), 'its replacement starts before it has gone')
  assert.equal((await service.log.first('worker.drained')).cutRequests, 0)
  await service.log.nth('worker.ready', 2)
  assert.equal(await text(service.url), 'worker 2')
})
