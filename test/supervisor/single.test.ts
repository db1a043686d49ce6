/** The same service in one process. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
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

async function runHere({ log, port }: { log: EventLog; port: number }): Promise<Supervisor> {
  const listen = { host: '127.0.0.1', port }
  return runSingle({ listen, admin: ANYWHERE, boot: testService, handleSignals: false, onEvent: log.add })
}
