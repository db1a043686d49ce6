/** The same service in one process. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { runSingle, type Supervisor } from '../../src/supervisor/index.ts'
import { EventLog } from './fixtures/event-log.ts'
import { ANYWHERE, eventually, get, startProgram, text, underWay } from './fixtures/running.ts'
import { startLoad } from './fixtures/load.ts'
import { testService } from './fixtures/test-service.ts'

test('it serves, answers probes and drains on SIGTERM without failing a request', async () => {
  await using service = await startProgram({ single: true, drainDelayMs: 300, idleGraceMs: 300 })
  assert.equal((await get(`${service.adminUrl}/readyz`)).status, 200)
  await using load = startLoad(service.port, { clients: 4, keepAlive: true })
  await eventually('load to flow', () => load.tally.ok > 50)
  service.child.kill('SIGTERM')
  await service.log.first('arbiter.draining')
  assert.equal((await get(`${service.adminUrl}/readyz`)).status, 503)
  assert.equal((await get(`${service.adminUrl}/livez`)).status, 200)
  assert.equal(await service.ended, 0)
  const { failed, hung, errors } = await load.stop()
  assert.deepEqual([failed, hung], [0, 0], errors.join('\n'))
})

test('a stray rejection drains it and ends it with 1', async () => {
  await using service = await startProgram({ single: true, idleGraceMs: 100 })
  const beside = text(`${service.url}/slow?ms=300`)
  await underWay(service.url, 1)
  assert.equal(await text(`${service.url}/stray`), 'about to stray')
  assert.equal(await beside, 'late')
  assert.equal(await service.ended, 1)
  assert.match((await service.log.first('worker.failing')).error.message, /nobody caught me/)
})

test('a second Ctrl-C quits with 130', async () => {
  await using service = await startProgram({ single: true })
  const cut = assert.rejects(text(`${service.url}/slow?ms=60000`))
  await underWay(service.url, 1)
  service.child.kill('SIGINT')
  const again = setInterval(() => service.child.kill('SIGINT'), 50)
  assert.equal(await service.ended, 130)
  clearInterval(again)
  await cut
})

test('a port that is taken ends it with 1', async () => {
  await using taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const log = new EventLog()
  await using service = await runHere({ log, port })
  assert.equal(await service.exited, 1)
  assert.equal((await log.first('worker.boot_failed')).error.code, 'KEELSON_LISTEN_FAILED')
})

test('a quit cuts what is under way, even if the process goes on', async () => {
  const log = new EventLog()
  const service = await runHere({ log, port: 0 })
  await service.whenReady()
  const url = `http://127.0.0.1:${service.addresses.public?.port}`
  let cut = false
  void text(`${url}/slow?ms=60000`).catch(() => {
    cut = true
  })
  await underWay(url, 1)
  // The second is one only after the time in which the first may echo.
  const again = setInterval(() => service.signal('SIGINT'), 50)
  assert.equal(await service.exited, 130)
  clearInterval(again)
  await eventually('the request to be cut', () => cut, 2_000)
  await assert.rejects(text(url))
})

test('when it has ended nothing of it stays in the process', async () => {
  const before = traces()
  const service = await runSingle({ listen: ANYWHERE, admin: ANYWHERE, boot: testService })
  await service.whenReady()
  assert.notDeepEqual(traces(), before)
  await service.stop()
  // What is closed is gone after the next turn of the event loop.
  await eventually('all to be gone', () => isDeepStrictEqual(traces(), before))
})

/** Listeners on the process and open servers; timers are not among them, because none keeps the process alive. */
function traces(): object {
  const listeners = Object.fromEntries(process.eventNames().map((name) => [name, process.listenerCount(name)]))
  const servers = process.getActiveResourcesInfo().filter((name) => name === 'TCPServerWrap')
  return { listeners, servers }
}

async function runHere({ log, port }: { log: EventLog; port: number }): Promise<Supervisor> {
  const listen = { host: '127.0.0.1', port }
  return runSingle({ listen, admin: ANYWHERE, boot: testService, handleSignals: false, onEvent: log.add })
}
