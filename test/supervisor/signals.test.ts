/** What signals do, to a real process and in the table. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSignalReader } from '../../src/supervisor/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { isAlive, startArbiter, startProgram, text, underWay } from './fixtures/running.ts'

test('a Ctrl-C that arrives twice is one, and a second one quits', async () => {
  const clock = new ManualClock()
  const read = createSignalReader(clock)
  assert.equal(read('SIGINT'), 'interrupt')
  await clock.advance(299)
  assert.equal(read('SIGINT'), undefined)
  await clock.advance(1)
  assert.equal(read('SIGINT'), 'quit')
})

test('the first Ctrl-C drains without delay, its echo changes nothing, and the service ends with 0', async () => {
  await using service = await startProgram({ drainDelayMs: 60_000 })
  await service.log.first('arbiter.ready')
  const slow = text(`${service.url}/slow?ms=500`)
  await underWay(service.url, 1)
  service.child.kill('SIGINT')
  await service.log.first('arbiter.stopping')
  service.child.kill('SIGINT')
  assert.equal(await slow, 'late')
  assert.equal(await service.ended, 0)
})

test('a second Ctrl-C quits at once with 130', async () => {
  await using service = await startProgram()
  await service.log.first('arbiter.ready')
  const cut = assert.rejects(text(`${service.url}/slow?ms=60000`))
  await underWay(service.url, 1)
  service.child.kill('SIGINT')
  const { pid } = await service.log.first('worker.started')
  await service.log.first('arbiter.stopping')
  // The second is one only after the time in which the first may echo.
  const again = setInterval(() => service.child.kill('SIGINT'), 50)
  assert.equal(await service.ended, 130)
  clearInterval(again)
  await cut
  assert.equal(isAlive(pid), false)
})

test('TTIN and TTOU change the number of workers, which never falls below one', async () => {
  await using service = await startArbiter()
  await service.arbiter.whenReady()
  service.arbiter.signal('SIGTTIN')
  await service.log.nth('worker.ready', 2)
  service.arbiter.signal('SIGTTOU')
  service.arbiter.signal('SIGTTOU')
  const exited = await service.log.first('worker.exited')
  assert.deepEqual([exited.worker, exited.code, exited.expected], [1, 0, true], 'the oldest leaves')
  assert.deepEqual(
    service.log.all('scale.changed').map((event) => event.workers),
    [2, 1],
  )
  assert.equal(await text(service.url), 'worker 2')
})

test('HUP does not end the service, and signals to a worker are left to the arbiter', async () => {
  await using service = await startProgram()
  await service.log.first('arbiter.ready')
  service.child.kill('SIGHUP')
  assert.equal((await service.log.first('signal.ignored')).signal, 'SIGHUP')
  const { pid } = await service.log.first('worker.started')
  process.kill(pid as number, 'SIGTERM')
  process.kill(pid as number, 'SIGINT')
  assert.equal(await text(service.url), 'worker 1')
  assert.equal(service.log.all('worker.exited').length, 0)
})

test('a Ctrl-C in a terminal reaches the arbiter alone', async () => {
  await using service = await startProgram()
  await service.log.first('arbiter.ready')
  const slow = text(`${service.url}/slow?ms=300`)
  await underWay(service.url, 1)
  // As the terminal does it: to the whole group.
  process.kill(-(service.child.pid as number), 'SIGINT')
  assert.equal(await slow, 'late')
  assert.equal(await service.ended, 0)
})
