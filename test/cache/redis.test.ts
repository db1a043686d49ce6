import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Redis } from 'ioredis'
import { createCache, type CacheConfig, type CacheEvent, type RedisClient } from '../../src/cache/index.ts'
import { redisForTests, type TestRedis } from '../../src/testing/redis-server.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { manualLoader, memoryBus, node, settle, until } from './harness.ts'

let server: TestRedis
let raw: Redis
let names = 0

before(async () => {
  server = await redisForTests()
  raw = new Redis(server.url)
})
after(async () => {
  raw.disconnect()
  await server[Symbol.asyncDispose]()
})

/** Options that two nodes of one cache share, and no other test. */
function shared(options: Partial<CacheConfig> = {}): CacheConfig {
  return { name: `c${names++}`, ttlMs: 60_000, keyPrefix: server.prefix, ...options }
}

const never = (): never => {
  throw new Error('this loader must not be called')
}

/** The Redis key of the plain string key `key`. */
const nameOf = (config: CacheConfig, key: string): string => `${config.keyPrefix}{${config.name}}:k:${key}`

const stored = async (config: CacheConfig, key: string): Promise<boolean> =>
  ((await raw.get(nameOf(config, key))) ?? '').includes('\n')

test('what one process loaded, another reads', async () => {
  const config = shared()
  await using a = await node<{ n: number } | string>(server.url, config)
  await using b = await node<{ n: number } | string>(server.url, config)
  await a.cache.getOrLoad('x', async () => ({ n: 1 }))
  await a.cache.getOrLoad('none', () => null)
  await a.cache.set(['t', 1], 'set', { tags: ['tag'] })
  await until(async () => (await stored(config, 'x')) && (await stored(config, 'none')))
  assert.deepEqual(await b.cache.getOrLoad('x', never), { n: 1 })
  assert.deepEqual(await b.cache.getOrLoad('x', never), { n: 1 })
  assert.equal(await b.cache.getOrLoad('none', never), null)
  assert.equal(await b.cache.get(['t', 1]), 'set')
  assert.deepEqual(await b.cache.getManyOrLoad(['x', ['t', 1]], never), [{ n: 1 }, 'set'])
  const { l1Hits, l2Hits, misses } = b.cache.snapshot()
  assert.deepEqual({ l1Hits, l2Hits, misses }, { l1Hits: 3, l2Hits: 3, misses: 0 })
})

test('a hit in Redis is one MGET, and as many keys as you like are one too', async () => {
  const config = shared()
  await using a = await node<number>(server.url, config)
  await using b = await node<number>(server.url, config)
  for (const key of ['x', 'y', 'z']) await a.cache.set(key, 1)
  await b.cache.get('y')
  const calls = async (): Promise<number> =>
    [...(await raw.info('commandstats')).matchAll(/cmdstat_(?:mget|get|evalsha|eval):calls=(\d+)/g)].reduce(
      (sum, m) => sum + Number(m[1]),
      0,
    )
  const atStart = await calls()
  await b.cache.getOrLoad('x', never)
  assert.equal((await calls()) - atStart, 1)
})

test('a load of many keys, some of which Redis had, ends when everyone has left', async () => {
  const config = shared()
  await using a = await node<number>(server.url, config)
  await using b = await node<number>(server.url, config)
  await a.cache.set('x', 1)
  const { calls, load } = manualLoader<number>()
  const leaving = new AbortController()
  const both = b.cache.getManyOrLoad(['x', 'y'], async (_missing, context) => new Map([['y', await load(context)]]), {
    signal: leaving.signal,
  })
  await until(() => calls.length === 1)
  leaving.abort(new Error('gone'))
  await assert.rejects(both, /gone/)
  assert.equal((calls[0]!.signal.reason as { code?: string } | undefined)?.code, 'KEELSON_CACHE_LOAD_ABANDONED')
  await until(() => b.cache.snapshot().loadsInFlight === 0)
  assert.equal(b.cache.snapshot().loadsAbandoned, 1)
})

test('an invalidation on one node beats a load in flight on another', async () => {
  for (const kind of ['key', 'tag', 'clear', 'set'] as const) {
    const config = shared()
    await using a = await node<string>(server.url, config)
    await using b = await node<string>(server.url, config)
    const { calls, load } = manualLoader<string>()
    const early = a.cache.getOrLoad('x', (context) => {
      context.setTags(['t'])
      return load(context)
    })
    await until(() => calls.length === 1)
    if (kind === 'key') await b.cache.invalidate('x')
    else if (kind === 'tag') await b.cache.invalidateTags(['t'])
    else if (kind === 'clear') await b.cache.clear()
    else await b.cache.set('x', 'set')
    calls[0]!.resolve('old')
    assert.equal(await early, 'old')
    await until(() => a.cache.snapshot().fillsRefused === 1)
    assert.equal(await a.cache.get('x'), kind === 'set' ? 'set' : undefined, kind)
    assert.equal(await b.cache.get('x'), kind === 'set' ? 'set' : undefined, kind)
  }
})

test('a flush, an eviction or an expiry of the token during a load voids it as well', async () => {
  const config = shared()
  await using a = await node<string>(server.url, config)
  const { calls, load } = manualLoader<string>()
  const early = a.cache.getOrLoad('x', load)
  await until(() => calls.length === 1)
  await raw.unlink(nameOf(config, 'x'))
  calls[0]!.resolve('old')
  await early
  await until(() => a.cache.snapshot().fillsRefused === 1)
  assert.equal(await raw.exists(nameOf(config, 'x')), 0)
})

test('of two loads at a time, the one that began earlier never replaces the other', async () => {
  const config = shared()
  await using a = await node<string>(server.url, config)
  await using b = await node<string>(server.url, config)
  const [first, second] = [manualLoader<string>(), manualLoader<string>()]
  const earlier = a.cache.getOrLoad('x', first.load)
  await until(() => first.calls.length === 1)
  const later = b.cache.getOrLoad('x', second.load)
  await until(() => second.calls.length === 1)
  second.calls[0]!.resolve('newer')
  await later
  await until(() => stored(config, 'x'))
  first.calls[0]!.resolve('older')
  assert.equal(await earlier, 'older')
  await until(() => a.cache.snapshot().fillsRefused === 1)
  assert.equal(await a.cache.getOrLoad('x', never), 'newer')
})

test('another machine sees an invalidation within maxStalenessMs, and the same machine at once over the bus', async () => {
  const clock = new ManualClock()
  const bus = memoryBus()
  const config = shared({ clock })
  await using a = await node<string>(server.url, { ...config, bus: bus.port() })
  await using near = await node<string>(server.url, { ...config, bus: bus.port() })
  await using far = await node<string>(server.url, config)
  await a.cache.set('x', 'v1')
  assert.equal(await near.cache.get('x'), 'v1')
  assert.equal(await far.cache.get('x'), 'v1')
  await a.cache.invalidate('x')
  assert.equal(await near.cache.get('x'), undefined)
  await clock.advance(1_999)
  assert.equal(await far.cache.get('x'), 'v1')
  await clock.advance(1)
  assert.equal(await far.cache.get('x'), undefined)
})

test('tags and clear reach other machines through versions, however the entry got there', async () => {
  const config = shared({ maxStalenessMs: 0 })
  await using a = await node<string>(server.url, config)
  await using b = await node<string>(server.url, config)
  await a.cache.set('x', 'v', { tags: ['t', 'u'] })
  await a.cache.set('y', 'v', { tags: ['u'] })
  await b.cache.invalidateTags(['t'])
  assert.equal(await a.cache.get('x'), undefined)
  assert.equal(await a.cache.get('y'), 'v')
  await b.cache.set('x', 'again', { tags: ['t'] })
  assert.equal(await a.cache.get('x'), 'again')
  await b.cache.clear()
  assert.equal(await a.cache.get('x'), undefined)
  assert.equal(await a.cache.get('y'), undefined)
  await a.cache.set('x', 'after')
  assert.equal(await b.cache.get('x'), 'after')
})

test('a tag version that Redis has lost makes its entries misses, not hits', async () => {
  const config = shared({ maxStalenessMs: 0 })
  await using a = await node<string>(server.url, config)
  await a.cache.set('x', 'v', { tags: ['t'] })
  assert.equal(await a.cache.get('x'), 'v')
  await raw.unlink(`${config.keyPrefix}{${config.name}}:t:t`)
  assert.equal(await a.cache.get('x'), undefined)
})

test('memory keeps an entry no longer than Redis would', async () => {
  const clock = new ManualClock()
  const config = shared({ ttlMs: 10_000, maxStalenessMs: 60_000, clock, random: () => 1 })
  await using a = await node<string>(server.url, config)
  await using b = await node<string>(server.url, config)
  await a.cache.set('x', 'v')
  assert.equal(await b.cache.get('warm'), undefined)
  await clock.advance(9_000)
  assert.equal(await b.cache.get('x'), 'v')
  await clock.advance(1_100)
  assert.equal(await b.cache.get('x'), undefined)
})

test('an old entry in Redis is served while one process loads a new one', async () => {
  const clock = new ManualClock()
  const config = shared({ ttlMs: 10_000, staleWhileRevalidateMs: 600_000, maxStalenessMs: 0, clock })
  await using a = await node<string>(server.url, config)
  await using b = await node<string>(server.url, config)
  await a.cache.set('x', 'old')
  assert.equal(await b.cache.getOrLoad('x', never), 'old')
  await clock.advance(11_000)
  assert.equal(await b.cache.getOrLoad('x', async () => 'new'), 'old')
  await until(async () => ((await raw.get(nameOf(config, 'x'))) ?? '').endsWith('"new"'))
})

test('an old entry in Redis stands in when loading fails, also for a process that never had it', async () => {
  const clock = new ManualClock()
  const config = shared({ ttlMs: 10_000, staleIfErrorMs: 600_000, clock })
  await using a = await node<string>(server.url, config)
  await using b = await node<string>(server.url, config)
  await a.cache.set('x', 'old')
  await b.cache.get('warm')
  await clock.advance(11_000)
  let loads = 0
  const load = async (): Promise<string> => {
    loads++
    throw new Error('down')
  }
  assert.equal(await b.cache.getOrLoad('x', load), 'old')
  assert.equal(await b.cache.getOrLoad('x', load), 'old')
  assert.equal(loads, 1)
})

test('what another machine has invalidated does not stand in when loading fails', async () => {
  const clock = new ManualClock()
  const config = shared({ ttlMs: 10_000, staleIfErrorMs: 600_000, staleWhileRevalidateMs: 600_000, clock })
  await using a = await node<string>(server.url, config)
  await using b = await node<string>(server.url, config)
  await a.cache.set('x', 'old')
  assert.equal(await b.cache.get('x'), 'old')
  await a.cache.invalidate('x')
  await clock.advance(2_000)
  const load = async (): Promise<string> => {
    throw new Error('down')
  }
  await assert.rejects(b.cache.getOrLoad('x', load), /down/)
  await assert.rejects(b.cache.getOrLoad('x', load), /down/)
})

test('bytes that are broken, foreign, of another schema or another type are misses', async () => {
  const config = shared({ maxStalenessMs: 0 })
  await using a = await node<string>(server.url, config)
  await using other = await node<string>(server.url, { ...config, schema: '2' })
  await a.cache.set('x', 'v')
  assert.equal(await other.cache.get('x'), undefined)
  const good = (await raw.get(nameOf(config, 'x')))!
  assert.equal(await a.cache.get('x'), 'v')
  const bad = [
    '',
    '\n\n',
    'garbage',
    'K1',
    'K2' + good.slice(2),
    good.slice(0, -2),
    good.slice(0, 40),
    good.replace('[""', '[0'),
    good.replace('["",[]]', '["",["t"]]'),
    good.replace('["",[]]', 'null'),
    good.replace(/^(K1 \S+ \d+) \d+/, '$1 NaN'),
    Buffer.from([0xff, 0xfe, 0, 10, 10]),
  ]
  for (const bytes of bad) {
    await raw.set(nameOf(config, 'x'), bytes)
    assert.equal(await a.cache.get('x'), undefined, String(bytes))
    assert.equal(await a.cache.getOrLoad('x', async () => 'loaded'), 'loaded')
    await until(async () => (await a.cache.get('x')) === 'loaded')
  }
  await raw.unlink(nameOf(config, 'x'))
  await raw.lpush(nameOf(config, 'x'), 'a list')
  assert.equal(await a.cache.getOrLoad('x', async () => 'loaded'), 'loaded')
  assert.equal(a.cache.snapshot().l2, 'closed')
})

test('what JSON would change stays out of Redis and keeps its type here', async () => {
  const events: CacheEvent[] = []
  const config = shared()
  await using a = await node<unknown>(server.url, { ...config, onEvent: (event) => events.push(event) })
  const values: unknown[] = [
    new Date(0),
    { at: new Date(0) },
    new Map(),
    Number.NaN,
    [undefined],
    { n: 1n },
    Buffer.from('x'),
    new Error('x'),
  ]
  for (const [i, value] of values.entries()) {
    assert.equal(await a.cache.getOrLoad(i, () => value), value)
    assert.equal(await a.cache.getOrLoad(i, never), value)
    assert.deepEqual(await a.cache.set(i, value), { complete: true })
  }
  await settle()
  assert.equal(a.cache.snapshot().valuesRefused, values.length * 2)
  assert.deepEqual(events[0], { type: 'value.refused', source: config.name, level: 'l2', reason: 'not_json' })
  assert.equal((await raw.keys(`${nameOf(config, '')}*`)).filter((key) => key.includes('\n')).length, 0)
  await using b = await node<unknown>(server.url, config)
  const good = { s: '\ud800 ü', n: -1.5, list: [null, { deep: true }], ['__proto__']: 1 }
  await a.cache.set('good', good)
  assert.deepEqual(await b.cache.get('good'), good)
})

test('a value above the size limit replaces the old one in Redis by nothing', async () => {
  const config = shared({ l2MaxValueBytes: 1_000, maxStalenessMs: 0 })
  await using a = await node<string>(server.url, config)
  await a.cache.set('x', 'small')
  await a.cache.set('x', 'x'.repeat(2_000))
  assert.equal(await a.cache.get('x'), undefined)
  assert.equal(await raw.exists(nameOf(config, 'x')), 0)
})

test('long keys, and keys that look like the hash of one, are entries of their own', async () => {
  const config = shared({ maxStalenessMs: 0 })
  await using a = await node<string>(server.url, config)
  const long = 'k'.repeat(5_000)
  await a.cache.set(long, 'long')
  const [name] = await raw.keys(`${config.keyPrefix}{${config.name}}:k:~*`)
  const hash = name!.slice(name!.indexOf('~'))
  assert.equal(await a.cache.get(hash), undefined)
  await a.cache.set(hash, 'short')
  await a.cache.set('\ud800', 'one')
  await a.cache.set('\ud801', 'two')
  assert.deepEqual(await Promise.all([long, hash, '\ud800', '\ud801'].map((key) => a.cache.get(key))), [
    'long',
    'short',
    'one',
    'two',
  ])
})

test('every key in Redis expires', async () => {
  const config = shared()
  await using a = await node<string>(server.url, config)
  await a.cache.set('x', 'v', { tags: ['t'] })
  await a.cache.getOrLoad('y', async () => 'v', { tags: ['t'] })
  await a.cache.invalidateTags(['t'])
  await a.cache.clear()
  await until(() => stored(config, 'y').then((yes) => yes || a.cache.snapshot().fillsRefused > 0))
  for (const key of await raw.keys(`${config.keyPrefix}{${config.name}}*`)) assert.ok((await raw.pttl(key)) > 0, key)
})

test('more keys than one command takes are invalidated by one call', async () => {
  const config = shared({ maxStalenessMs: 0 })
  await using a = await node<number>(server.url, config)
  const keys = Array.from({ length: 1_200 }, (_, i) => i)
  await Promise.all(keys.map((key) => a.cache.set(key, key)))
  assert.deepEqual(await a.cache.invalidateMany(keys), { complete: true })
  assert.equal((await raw.keys(nameOf(config, '*'))).length, 0)
})

/** The real client, with one command at a time held back: before it is sent, or before its reply is seen. */
function holding(client: Redis, command: 'mget' | 'unlink', when: 'before' | 'after') {
  const gate = Promise.withResolvers<void>()
  let held = false
  const hold = async (): Promise<void> => {
    if (held) return
    held = true
    await gate.promise
  }
  const wrapped: RedisClient = {
    ping: () => client.ping(),
    time: () => client.time(),
    mget: (keys) => around('mget', () => client.mget(keys)),
    unlink: (keys) => around('unlink', () => client.unlink(keys)),
    evalsha: (sha1, count, ...rest) => client.evalsha(sha1, count, ...rest),
    eval: (script, count, ...rest) => client.eval(script, count, ...rest),
  }
  async function around<R>(name: string, send: () => Promise<R>): Promise<R> {
    if (name !== command) return await send()
    if (when === 'before') await hold()
    const reply = await send()
    if (when === 'after') await hold()
    return reply
  }
  return { client: wrapped, release: gate.resolve, isHeld: () => held }
}

test('a read from Redis that an invalidation overtakes does not fill memory', async () => {
  const config = shared()
  await using writer = await node<string>(server.url, config)
  await writer.cache.set('x', 'old')
  const slow = holding(raw, 'mget', 'after')
  await using cache = createCache<string>({ ...config, l2TimeoutMs: 10_000, redis: slow.client })
  const early = cache.getOrLoad('x', never)
  await until(slow.isHeld)
  await cache.invalidate('x')
  slow.release()
  assert.equal(await early, 'old')
  assert.equal(await cache.get('x'), undefined)
  assert.equal(await cache.getOrLoad('x', async () => 'new'), 'new')
})

test('while Redis is being told, it is not believed', async () => {
  const config = shared()
  await using writer = await node<string>(server.url, config)
  await writer.cache.set('x', 'old')
  const slow = holding(raw, 'unlink', 'before')
  await using cache = createCache<string>({ ...config, l2TimeoutMs: 10_000, redis: slow.client })
  const telling = cache.invalidate('x')
  await until(slow.isHeld)
  assert.equal(await cache.get('x'), undefined)
  assert.equal(await cache.getOrLoad('x', async () => 'new'), 'new')
  slow.release()
  assert.deepEqual(await telling, { complete: true })
  assert.equal(await cache.get('x'), 'new')
})
