/** A pipeline in front of a real HTTP server, through a proxy that misbehaves. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createPipeline } from '../../src/resilience/index.ts'
import { createFaultProxy } from '../../src/testing/fault-proxy.ts'

async function service() {
  let requests = 0
  const server = createServer((_request, response) => {
    requests++
    response.setHeader('Connection', 'close').end('hello')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    target: { host: '127.0.0.1', port },
    requests: () => requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

test('a service that hangs opens its breaker within 20 calls, and is used again soon after it is back', async () => {
  await using server = await service()
  await using proxy = await createFaultProxy({ target: server.target })
  using pipeline = createPipeline({ name: 'hello', attemptTimeoutMs: 1_000, retry: {}, breaker: { openMs: 50, maxOpenMs: 50 } })
  const get = (timeoutMs: number): Promise<string> => {
    const fn = async ({ signal }: { signal: AbortSignal }): Promise<string> =>
      (await fetch(`http://${proxy.host}:${proxy.port}/`, { signal })).text()
    return pipeline.run(fn, { deadline: { remainingMs: timeoutMs, signal: AbortSignal.timeout(timeoutMs) } })
  }
  assert.equal(await get(1_000), 'hello')

  await proxy.set('hang')
  await Promise.allSettled(Array.from({ length: 19 }, () => get(1_500)))
  await get(1_500).catch(() => {})
  assert.notEqual(pipeline.snapshot().breaker?.state, 'closed')

  await proxy.set('pass')
  const end = performance.now() + 5_000
  while (pipeline.snapshot().breaker?.state !== 'closed') {
    assert.ok(performance.now() < end, 'closes soon after the service is back')
    await get(1_000).catch(() => {})
    await turn()
  }
  assert.equal(await get(1_000), 'hello')
})

test('a service that is down is retried without being asked, because nothing reached it', async () => {
  await using server = await service()
  await using proxy = await createFaultProxy({ target: server.target, mode: 'refuse' })
  let attempts = 0
  const onEvent = async (): Promise<void> => proxy.set('pass')
  using pipeline = createPipeline({ name: 'down', retry: { baseDelayMs: 30 }, random: () => 0.99, onEvent: () => void onEvent() })
  const text = await pipeline.run(async ({ attempt, signal }) => {
    attempts = attempt
    return (await fetch(`http://${proxy.host}:${proxy.port}/`, { signal })).text()
  })
  assert.equal(text, 'hello')
  assert.equal(attempts, 2)
})

test('a reply that is lost is not asked for again, unless that is safe', async () => {
  await using server = await service()
  await using proxy = await createFaultProxy({ target: server.target, mode: 'drop-reply' })
  using pipeline = createPipeline({ name: 'lossy', attemptTimeoutMs: 150, retry: { maxAttempts: 2, baseDelayMs: 1 } })
  const fn = async ({ signal }: { signal: AbortSignal }): Promise<unknown> =>
    fetch(`http://${proxy.host}:${proxy.port}/`, { signal })
  await assert.rejects(pipeline.run(fn), { code: 'KEELSON_TIMEOUT' })
  assert.equal(server.requests(), 1)
  await assert.rejects(pipeline.run(fn, { repeat: 'safe' }), { code: 'KEELSON_TIMEOUT' })
  assert.equal(server.requests(), 3)
})
