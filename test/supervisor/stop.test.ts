/** Stopping loses nothing, and ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually, get, isAlive, startArbiter, startProgram, text, underWay } from './fixtures/running.ts'
import { startLoad } from './fixtures/load.ts'

for (const keepAlive of [true, false]) {
  test(`SIGTERM under load fails no request, with keep-alive ${keepAlive}`, async () => {
    await using service = await startProgram({ workers: 2, drainDelayMs: 800, idleGraceMs: 500 })
    await service.log.nth('worker.ready', 2)
    await using load = startLoad(service.port, { clients: 8, keepAlive })
    await using slow = startLoad(service.port, { clients: 2, keepAlive, path: '/slow?ms=150' })
    await eventually('load to flow', () => load.tally.ok > 100 && slow.tally.ok > 0)

    service.child.kill('SIGTERM')
    await service.log.first('arbiter.draining')
    const answer = await get(`${service.adminUrl}/readyz`)
    assert.equal(answer.status, 503)
    assert.deepEqual(await answer.json(), { status: 'unavailable', reasons: ['draining'], degraded: [] })
    const before = load.tally.ok
    await eventually('it to go on serving although it is not ready', () => load.tally.ok > before + 50)
    assert.equal(load.tally.refused, 0)

    assert.equal(await service.ended, 0)
    for (const tally of [await load.stop(), await slow.stop()]) {
      assert.deepEqual([tally.failed, tally.hung], [0, 0], tally.errors.join('\n'))
    }
    assert.ok(service.log.all('worker.drained').every((event) => event.cutRequests === 0))
  })
}

test('what outlives the drain is cut, counted and named', async () => {
  await using service = await startArbiter({ drainTimeoutMs: 200 })
  await service.arbiter.whenReady()
  const cut = assert.rejects(text(`${service.url}/slow?ms=60000`))
  await underWay(service.url, 1)
  assert.equal(await service.arbiter.stop(), 0)
  await cut
  assert.equal((await service.log.first('worker.drained')).cutRequests, 1)
})

test('a worker that does not leave in time is killed, and the exit code says so', async () => {
  await using service = await startArbiter({ drainTimeoutMs: 0 })
  await service.arbiter.whenReady()
  const { pid } = await service.log.first('worker.started')
  process.kill(pid as number, 'SIGSTOP')
  assert.equal(await service.arbiter.stop(), 1)
  assert.equal((await service.log.first('worker.killed')).reason, 'drain_timeout')
  assert.equal((await service.log.first('worker.exited')).hint, undefined)
  assert.equal(isAlive(pid), false)
})

test('workers end within seconds when their arbiter is killed, and the port is free', async () => {
  await using service = await startProgram({ workers: 2 })
  await service.log.nth('worker.ready', 2)
  // Held open by a client, so that the workers have something to drain.
  const held = get(`${service.url}/slow?ms=60000`).catch(() => 'cut')
  const idle = startLoad(service.port, { clients: 2, keepAlive: true })
  await eventually('load to flow', () => idle.tally.ok > 0)
  service.child.kill('SIGKILL')
  await service.ended
  const pids = service.log.all('worker.started').map((event) => event.pid)
  assert.equal(pids.length, 2)
  await eventually('the workers to end', () => !pids.some(isAlive), 3_500)
  assert.equal(await held, 'cut')
  await idle.stop()
  await eventually('the port to be free', async () => (await get(service.url).catch(() => 'refused')) === 'refused')
})
