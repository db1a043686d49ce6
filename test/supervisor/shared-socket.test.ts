/** The listening socket outlives its workers. */
import assert from 'node:assert/strict'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { rmSync, writeFileSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isKeelsonError } from '../../src/core/errors.ts'
import { openListener } from '../../src/supervisor/index.ts'
import { ANYWHERE, get, isAlive, startArbiter, text } from './fixtures/running.ts'

test('with no worker alive a connection waits, and the replacement answers it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'keelson-'))
  const TEST_FILE = join(folder, 'no-boot')
  await using service = await startArbiter({ env: { TEST_BOOT: 'throw-if', TEST_FILE }, restart: { maxBootDelayMs: 100 } })
  await service.arbiter.whenReady()

  writeFileSync(TEST_FILE, '')
  const { pid } = await service.log.first('worker.started')
  process.kill(pid as number, 'SIGKILL')
  await service.log.nth('worker.boot_failed', 1)
  const waiting = text(service.url)
  // Nobody could have answered by now: at least one more start has failed since the request was sent.
  await service.log.nth('worker.boot_failed', 3)
  rmSync(folder, { recursive: true })

  assert.match(await waiting, /^worker \d+$/)
  assert.equal(isAlive(pid), false)
})

test('the death of a worker says what may have killed it', async () => {
  await using service = await startArbiter()
  await service.arbiter.whenReady()
  process.kill((await service.log.first('worker.started')).pid as number, 'SIGKILL')
  const exited = await service.log.first('worker.exited')
  assert.deepEqual([exited.signal, exited.expected], ['SIGKILL', false])
  assert.match(exited.hint ?? '', /out of memory/)
  await service.log.nth('worker.ready', 2)
})

test('a port that is taken is refused with host, port and reason, for either listener', async () => {
  await using taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const there = { host: '127.0.0.1', port }

  for (const [listener, options] of [
    ['public', { listen: there }],
    ['admin', { admin: there }],
  ] as const) {
    await assert.rejects(startArbiter(options), (error) => {
      assert.ok(isKeelsonError(error, 'KEELSON_LISTEN_FAILED'))
      assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}.*another process.*EADDRINUSE`))
      assert.equal(error.details['listener'], listener)
      return true
    })
  }
})

test('a host that is not of this machine is refused', async () => {
  await assert.rejects(openListener({ host: '192.0.2.1', port: 0 }), /192\.0\.2\.1:0.*not one of this machine \(EADDRNOTAVAIL\)/)
})

test('opening a listener ends when its signal aborts', async () => {
  const gone = new Error('gone')
  await assert.rejects(openListener(ANYWHERE, AbortSignal.abort(gone)), gone)
  const controller = new AbortController()
  const opening = openListener(ANYWHERE, controller.signal)
  controller.abort(gone)
  await assert.rejects(opening, gone)
})

test('the port is free again when the service has ended', async () => {
  const service = await startArbiter()
  await service.arbiter.whenReady()
  assert.equal(await service.arbiter.stop(), 0)
  await assert.rejects(get(service.url))
  const next = createServer().listen(service.port, '127.0.0.1')
  await once(next, 'listening')
  next.close()
  assert.ok(service.log.all('worker.started').every(({ pid }) => !isAlive(pid)))
})

test('an arbiter takes over a listener that is already open', async () => {
  const listener = await openListener(ANYWHERE)
  await using service = await startArbiter({ listen: listener })
  assert.equal(service.port, listener.address.port)
  await service.arbiter.whenReady()
  assert.equal(await text(service.url), 'worker 1')
})
