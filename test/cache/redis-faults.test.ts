import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCache, type CacheEvent } from '../../src/cache/index.ts'
import { redisForTests } from '../../src/testing/redis-server.ts'
import { manualLoader, memoryBus, node, until } from './harness.ts'

/** Generous enough for a busy machine, far below what waiting for Redis would take. */
const AT_ONCE_MS = 60

async function elapsed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

test('a Redis that hangs costs one time-out, then nothing, and is used again within a second of its return', async () => {
  await using server = await redisForTests({ own: true })
  const events: CacheEvent[] = []
  const options = { name: 'hang', ttlMs: 60_000, l2TimeoutMs: 100, onEvent: (event: CacheEvent) => events.push(event) }
  await using a = await node<number>(server.url, options)
  await a.cache.getOrLoad('warm', async () => 1)
  server.pause()
  let next = 0
  const miss = (): Promise<unknown> => a.cache.getOrLoad(`k${next++}`, async () => 1)
  const first = await elapsed(() => Promise.all(Array.from({ length: 50 }, miss)))
  assert.ok(first >= 90 && first < 400, `first misses took ${first} ms`)
  assert.equal(a.cache.snapshot().l2, 'open')
  const sorted = []
  for (let i = 0; i < 100; i++) sorted.push(await elapsed(miss))
  sorted.sort((x, y) => x - y)
  assert.ok(sorted[50]! < 5, `half of the later misses took over ${sorted[50]} ms`)
  assert.ok((await elapsed(() => a.cache.invalidate('k1'))) < AT_ONCE_MS)
  server.resume()
  const recovery = await elapsed(() => until(() => a.cache.snapshot().l2 === 'closed'))
  assert.ok(recovery < 1_500, `recovered after ${recovery} ms`)
  const types = events.map((event) => event.type)
  assert.deepEqual(
    types.filter((type) => type.startsWith('l2.') || type.startsWith('invalidation.')),
    ['l2.opened', 'invalidation.deferred', 'invalidation.replayed', 'l2.closed'],
  )
})

test('a caller’s client that queues and retries for ever does no harm either', async () => {
  await using server = await redisForTests({ own: true })
  const { Redis } = await import('ioredis')
  const client = new Redis(server.url, { retryStrategy: () => 20 })
  client.on('error', () => {})
  await using cache = createCache<number>({ name: 'queue', ttlMs: 60_000, redis: client, l2TimeoutMs: 100 })
  await cache.set('x', 1)
  await server.kill()
  assert.equal(await cache.getOrLoad('y', async () => 2), 2)
  assert.deepEqual(await cache.set('x', 2), { complete: false })
  await server.restart()
  await until(() => cache.snapshot().l2 === 'closed')
  assert.equal(cache.snapshot().pendingInvalidations, 0)
  assert.equal(await cache.get('x'), 2)
  client.disconnect()
})

test('reads go on while Redis is killed and restarted empty under load', async () => {
  await using server = await redisForTests({ own: true })
  await using a = await node<number>(server.url, { name: 'kill', ttlMs: 60_000, maxStalenessMs: 5, l2TimeoutMs: 100 })
  let stop = false
  let reads = 0
  const reader = async (n: number): Promise<void> => {
    for (let i = 0; !stop; i++) {
      const key = (i * 7 + n) % 20
      assert.equal(await a.cache.getOrLoad(key, async () => key), key)
      reads++
      if (i % 50 === 0) await a.cache.invalidate(key)
      await new Promise(setImmediate)
    }
  }
  const readers = [0, 1, 2, 3].map(reader)
  await until(() => reads > 500)
  await server.kill()
  const before = reads
  await until(() => reads > before + 500 && a.cache.snapshot().l2 === 'open')
  await server.restart()
  await until(() => a.cache.snapshot().l2 === 'closed')
  stop = true
  await Promise.all(readers)
})

test('an invalidation that Redis could not be told holds here, and there before Redis is believed again', async () => {
  await using server = await redisForTests({ own: true })
  const config = { name: 'defer', ttlMs: 60_000, maxStalenessMs: 0, l2TimeoutMs: 100 }
  await using a = await node<string>(server.url, config)
  await using other = await node<string>(server.url, config)
  for (const key of ['key', 'tagged', 'set', 'kept']) await a.cache.set(key, 'old', { tags: key === 'tagged' ? ['t'] : [] })
  server.pause()
  const results = [await a.cache.invalidate('key'), await a.cache.invalidateTags(['t']), await a.cache.set('set', 'new')]
  assert.deepEqual(results, [{ complete: false }, { complete: false }, { complete: false }])
  assert.equal(a.cache.snapshot().pendingInvalidations, 3)
  assert.equal(await a.cache.getOrLoad('key', async () => 'new'), 'new')
  server.resume()
  await until(() => a.cache.snapshot().l2 === 'closed')
  assert.equal(a.cache.snapshot().pendingInvalidations, 0)
  for (const key of ['key', 'tagged', 'set']) {
    assert.notEqual(await a.cache.get(key), 'old')
    assert.notEqual(await other.cache.get(key), 'old')
  }
  await until(async () => (await other.cache.get('kept')) === 'old')
})

test('more deferred keys than can be kept become one deferred clear', async () => {
  await using server = await redisForTests({ own: true })
  await using a = await node<string>(server.url, { name: 'many', ttlMs: 60_000, maxStalenessMs: 0, l2TimeoutMs: 100 })
  await a.cache.set('untouched', 'v')
  server.pause()
  await a.cache.invalidateMany(Array.from({ length: 9_000 }, (_, i) => i))
  await a.cache.invalidateMany(Array.from({ length: 9_000 }, (_, i) => `s${i}`))
  assert.equal(a.cache.snapshot().pendingInvalidations, 1)
  server.resume()
  await until(() => a.cache.snapshot().l2 === 'closed')
  assert.equal(await a.cache.get('untouched'), undefined)
})

test('whoever hears over the bus of a deferred invalidation mistrusts Redis too, and carries it on', async () => {
  await using server = await redisForTests({ own: true })
  const bus = memoryBus()
  const config = { name: 'carry', ttlMs: 60_000, maxStalenessMs: 0, l2TimeoutMs: 100 }
  await using a = await node<string>(server.url, { ...config, bus: bus.port() })
  await using b = await node<string>(server.url, { ...config, bus: bus.port() })
  await using far = await node<string>(server.url, config)
  await a.cache.set('x', 'old')
  server.pause()
  await a.cache.invalidate('x')
  await until(() => b.cache.snapshot().pendingInvalidations === 1)
  // The one that was asked dies before Redis is back.
  await a.cache[Symbol.asyncDispose]()
  a.redis.client.disconnect()
  server.resume()
  await until(() => b.cache.snapshot().l2 === 'closed')
  assert.equal(await b.cache.get('x'), undefined)
  await until(() => far.cache.snapshot().l2 === 'closed')
  assert.equal(await far.cache.get('x'), undefined)
})

test('a load during an outage is not stored later, and the invalidation in between holds', async () => {
  await using server = await redisForTests({ own: true })
  await using a = await node<string>(server.url, { name: 'late', ttlMs: 60_000, maxStalenessMs: 0, l2TimeoutMs: 100 })
  const { calls, load } = manualLoader<string>()
  const early = a.cache.getOrLoad('x', load)
  await until(() => calls.length === 1)
  server.pause()
  await a.cache.invalidate('x')
  calls[0]!.resolve('old')
  assert.equal(await early, 'old')
  server.resume()
  await until(() => a.cache.snapshot().l2 === 'closed')
  assert.equal(await a.cache.get('x'), undefined)
})

test('a Redis that is full or read-only is still read, and never fails a caller', async () => {
  await using server = await redisForTests({ own: true })
  await using a = await node<string>(server.url, { name: 'full', ttlMs: 60_000, maxStalenessMs: 0 })
  await a.cache.set('x', 'v')
  await a.redis.client.config('SET', 'maxmemory', '1')
  assert.equal(await a.cache.getOrLoad('y', async () => 'loaded'), 'loaded')
  assert.equal(await a.cache.getOrLoad('x', async () => 'loaded'), 'v')
  assert.deepEqual(await a.cache.invalidate('x'), { complete: true })
  assert.equal(a.cache.snapshot().l2, 'closed')
  assert.deepEqual(await a.cache.invalidateTags(['t']), { complete: false })
  assert.equal(a.cache.snapshot().l2, 'open')
  await a.redis.client.config('SET', 'maxmemory', '0')
  await until(() => a.cache.snapshot().l2 === 'closed')
  await a.redis.client.replicaof('127.0.0.1', '1')
  assert.equal(await a.cache.getOrLoad('z', async () => 'loaded'), 'loaded')
  const result = await a.cache.invalidate('z')
  assert.equal(result.complete, false)
})

test('a full Redis takes no new value, but drops the old one, and goes on being read', async () => {
  await using server = await redisForTests({ own: true })
  const config = { name: 'oom', ttlMs: 60_000, maxStalenessMs: 0 }
  await using a = await node<string>(server.url, config)
  await using far = await node<string>(server.url, config)
  await a.cache.set('x', 'old')
  await a.cache.set('y', 'v')
  // Now the first thing to do for a newer entry would be to prolong the life of this.
  await a.redis.client.pexpire('keelson:cache:{oom}:clear', 60_000)
  await a.redis.client.config('SET', 'maxmemory-policy', 'noeviction')
  await a.redis.client.config('SET', 'maxmemory', '1')
  assert.deepEqual(await a.cache.set('x', 'new'), { complete: true })
  assert.equal(await far.cache.get('x'), undefined)
  assert.equal(await far.cache.get('y'), 'v')
  assert.equal(a.cache.snapshot().l2, 'closed')
  assert.equal(a.cache.snapshot().pendingInvalidations, 0)
})

test('a Redis that stays read-only is left once, and then goes on being read', async () => {
  await using server = await redisForTests({ own: true })
  await using a = await node<string>(server.url, { name: 'replica', ttlMs: 60_000, maxStalenessMs: 0 })
  await a.cache.set('x', 'v')
  await a.redis.client.replicaof('127.0.0.1', '1')
  await a.cache.getOrLoad('miss', async () => 'loaded')
  await until(() => a.redis.snapshot().failures === 1 && a.redis.snapshot().ready && a.cache.snapshot().l2 === 'closed')
  for (let i = 0; i < 20; i++) {
    assert.equal(await a.cache.getOrLoad(`miss ${i}`, async () => 'loaded'), 'loaded')
    assert.equal(await a.cache.get('x'), 'v')
  }
  assert.equal(a.redis.snapshot().failures, 1)
})

test('a blocked event loop is not taken for a failing Redis', async () => {
  await using server = await redisForTests()
  const config = { name: 'blocked', ttlMs: 60_000, maxStalenessMs: 0, l2TimeoutMs: 50, keyPrefix: server.prefix }
  await using a = await node<string>(server.url, config)
  await a.cache.set('x', 'v')
  const reading = a.cache.get('x')
  await new Promise(setImmediate)
  const end = performance.now() + 150
  while (performance.now() < end) Math.sqrt(end)
  assert.equal(await reading, 'v')
  assert.equal(a.cache.snapshot().l2, 'closed')
})

test('a cache closed while Redis is down leaves nothing running', async () => {
  await using server = await redisForTests({ own: true })
  const a = await node<string>(server.url, { name: 'close', ttlMs: 60_000, l2TimeoutMs: 50 })
  server.pause()
  await a.cache.getOrLoad('x', async () => 'v')
  await a.cache[Symbol.asyncDispose]()
  server.resume()
  a.redis.client.disconnect()
})
