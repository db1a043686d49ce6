import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { connectRedis, redisConnections, redisScript, type RedisClient, type RedisEvent } from '../../src/redis/index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { redisForTests } from '../../src/testing/redis-server.ts'

/** Polls, because what is waited for happens in another process. */
async function until(condition: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<void> {
  const end = performance.now() + withinMs
  while (!(await condition())) {
    assert.ok(performance.now() < end, `not true within ${withinMs} ms: ${condition.toString()}`)
    await sleep(5)
  }
}

/** A port on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

test('ioredis itself satisfies the interface', () => {
  const accept = (client: Redis): RedisClient => client
  assert.equal(typeof accept, 'function')
})

test('connects, answers, is listed, and is gone after close', async () => {
  await using server = await redisForTests()
  const events: RedisEvent[] = []
  const redis = await connectRedis({ url: server.url, name: 'listed', onEvent: (event) => events.push(event) })
  assert.ok((await redis.ping()) >= 0)
  assert.deepEqual(
    redisConnections.snapshots().filter((s) => s.name === 'listed'),
    [{ name: 'listed', ready: true, failures: 0 }],
  )
  await redis.close()
  await redis.close()
  assert.deepEqual(
    redisConnections.snapshots().filter((s) => s.name === 'listed'),
    [],
  )
  assert.deepEqual(
    events.map((event) => event.type),
    ['connection.ready', 'connection.closed'],
  )
})

test('a Redis that is down is no error at start, commands fail at once, and its return is noticed', async () => {
  await using server = await redisForTests({ own: true })
  await server.kill()
  const events: RedisEvent[] = []
  await using redis = await connectRedis({ url: server.url, onEvent: (event) => events.push(event) })
  const startedAt = performance.now()
  await assert.rejects(redis.ping())
  assert.ok(performance.now() - startedAt < 50)
  assert.deepEqual(events[0], { type: 'connection.failed', source: 'redis', reason: 'ECONNREFUSED' })
  await server.restart()
  await until(() => redis.snapshot().ready)
  assert.ok((await redis.ping()) >= 0)
})

test('a Redis that hangs costs the command time-out, also at close', async () => {
  await using server = await redisForTests({ own: true })
  await using redis = await connectRedis({ url: server.url, commandTimeoutMs: 50 })
  server.pause()
  const startedAt = performance.now()
  await assert.rejects(redis.ping(), /timed out/)
  assert.ok(performance.now() - startedAt < 500)
  await redis.close()
  assert.ok(performance.now() - startedAt < 1_000)
  server.resume()
})

test('a restarted server is reconnected to, and no command is sent twice', async () => {
  await using server = await redisForTests({ own: true })
  await using redis = await connectRedis({ url: server.url })
  await redis.client.set('a', '1')
  server.pause()
  const lost = assert.rejects(redis.client.incr('a'))
  await lost
  await server.restart()
  await until(() => redis.snapshot().ready)
  assert.equal(await redis.client.get('a'), null)
})

test('an address where nobody listens does not hold up the start', async () => {
  const startedAt = performance.now()
  await using redis = await connectRedis({ url: `redis://127.0.0.1:${await closedPort()}` })
  assert.equal(redis.snapshot().ready, false)
  assert.ok(performance.now() - startedAt < 900)
})

test('a read-only server is left for the new primary, but not again for each write while there is none', async () => {
  await using server = await redisForTests({ own: true })
  const clock = new ManualClock()
  await using redis = await connectRedis({ url: server.url, commandTimeoutMs: 5_000, clock })
  await redis.client.replicaof('127.0.0.1', '1')
  const write = (): Promise<void> => assert.rejects(redis.client.set('a', '1'), /^ReplyError: READONLY/)
  const reconnected = (times: number): Promise<void> => until(() => redis.snapshot().failures === times && redis.snapshot().ready)
  await write()
  await reconnected(1)
  for (const ms of [0, 5_000, 4_999]) {
    await clock.advance(ms)
    await write()
    // It would fail on a connection that is given up.
    await redis.ping()
  }
  assert.equal(redis.snapshot().failures, 1)
  await clock.advance(1)
  await write()
  await reconnected(2)
})

test('a URL that is none is refused without being repeated', async () => {
  await assert.rejects(connectRedis({ url: 'http://user:s3cret@host' }), (error: Error) => {
    assert.match(error.message, /`url` must start with redis:/)
    assert.doesNotMatch(error.message, /s3cret/)
    return true
  })
  await assert.rejects(connectRedis({ url: '' }), { code: 'KEELSON_CONFIG_INVALID' })
})

test('a script is sent once, and again to a server that has lost it', async () => {
  await using server = await redisForTests({ own: true })
  await using redis = await connectRedis({ url: server.url })
  const script = redisScript(`return KEYS[1] .. ARGV[1]`)
  assert.equal(await script.run(redis.client, ['a'], ['b']), 'ab')
  assert.equal(await script.run(redis.client, ['a'], ['c']), 'ac')
  await redis.client.script('FLUSH')
  assert.equal(await script.run(redis.client, ['a'], ['d']), 'ad')
  await assert.rejects(redisScript('return redis.call("NOPE")').run(redis.client, [], []), { name: 'ReplyError' })
})
