import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createCache, type CacheEvent } from '../../src/cache/index.ts'
import { redisForTests, type TestRedis } from '../../src/testing/redis-server.ts'
import { node, settle } from './harness.ts'

let server: TestRedis
before(async () => {
  server = await redisForTests()
})
after(() => server[Symbol.asyncDispose]())

const heavy: Record<string, unknown> = {
  'an ArrayBuffer': new ArrayBuffer(20_000),
  'a SharedArrayBuffer in a record': { bytes: new SharedArrayBuffer(20_000) },
  'a Blob': new Blob(['x'.repeat(20_000)]),
  'a property with a long name': { ['k'.repeat(20_000)]: 1 },
  'a dictionary of many names': Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`name ${i}`, i])),
  'dictionaries of the same names': Array.from({ length: 5 }, () =>
    Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`${i}n`, i])),
  ),
}

for (const [name, value] of Object.entries(heavy)) {
  test(`memory counts the whole of ${name}`, async () => {
    // One entry may take a sixteenth.
    await using cache = createCache<unknown>({ name: 'heavy', ttlMs: 1_000, maxBytes: 100_000 })
    assert.equal(await cache.getOrLoad('a', () => value), value)
    assert.equal(cache.snapshot().entries, 0)
    assert.equal(cache.snapshot().valuesRefused, 1)
  })
}

test('a list of records is charged for its property names once', async () => {
  await using cache = createCache<unknown>({ name: 'records', ttlMs: 1_000 })
  const nameOfProperty = 'n'.repeat(1_000)
  await cache.set(
    'a',
    Array.from({ length: 100 }, () => ({ [nameOfProperty]: 1 })),
  )
  assert.ok(cache.snapshot().bytes < 10_000, `${cache.snapshot().bytes} bytes`)
})

test('a list of millions is served without being walked to its end', async () => {
  await using cache = createCache<readonly number[]>({ name: 'millions', ttlMs: 1_000 })
  let reads = 0
  const list = new Proxy(
    Array.from({ length: 1_000_000 }, () => 0),
    {
      get(target, property) {
        reads++
        return Reflect.get(target, property) as unknown
      },
    },
  )
  assert.equal(await cache.getOrLoad('a', () => list), list)
  assert.ok(reads < 250_000, `${reads} reads`)
  assert.equal(cache.snapshot().valuesRefused, 1)
})

test('plain data that is only too large is refused as such', async () => {
  const refused: string[] = []
  const onEvent = (event: CacheEvent): void =>
    void (event.type === 'value.refused' && refused.push(`${event.level} ${event.reason}`))
  await using a = await node<unknown>(server.url, { name: 'parts', ttlMs: 60_000, keyPrefix: server.prefix, onEvent })
  await a.cache.set(
    'a',
    Array.from({ length: 200_000 }, () => 0),
  )
  assert.deepEqual(new Set(refused), new Set(['l1 too_large', 'l2 too_large']))
})

test('a value too deep for JSON is kept here, stays out of Redis, and replaces what is there by nothing', async () => {
  const refused: string[] = []
  const onEvent = (event: CacheEvent): void => void (event.type === 'value.refused' && refused.push(event.reason))
  const config = { name: 'deep', ttlMs: 60_000, keyPrefix: server.prefix }
  await using a = await node<unknown>(server.url, { ...config, onEvent })
  await using b = await node<unknown>(server.url, config)
  // Without a getter V8 may well write it: it takes a way that does not recurse.
  let deep: object = {
    get end() {
      return true
    },
  }
  for (let i = 0; i < 20_000; i++) deep = { deep }
  assert.equal(await a.cache.getOrLoad('loaded', () => deep), deep)
  await settle()
  await a.cache.set('set', 'old')
  assert.deepEqual(await a.cache.set('set', deep), { complete: true })
  assert.deepEqual(refused, ['not_json', 'not_json'])
  assert.equal(await a.cache.get('loaded'), deep)
  assert.equal(await a.cache.get('set'), deep)
  assert.equal(await b.cache.get('set'), undefined)
})
