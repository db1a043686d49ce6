import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { caches, createCache, type CacheEvent, type CacheKey } from '../../src/cache/index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'

const key = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('__proto__', 'constructor', '', '#1', '["a"]', '"', '1', 'null', '\ud800', '\ud801', '\ufffd'),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.integer(),
  fc.array(fc.oneof(fc.string(), fc.integer()), { minLength: 1, maxLength: 3 }),
)

test('two keys share an entry only if they are the same key', async () => {
  await fc.assert(
    fc.asyncProperty(key, key, async (a, b) => {
      await using cache = createCache<string>({ name: 'keys', ttlMs: 1_000 })
      await cache.set(a, 'a')
      const same = JSON.stringify(a) === JSON.stringify(b) && typeof a === typeof b
      assert.equal(await cache.get(b), same ? 'a' : undefined)
    }),
    { numRuns: 500 },
  )
})

test('what is no key is refused, without being repeated', async () => {
  await using cache = createCache<string>({ name: 'keys', ttlMs: 1_000 })
  const none: unknown[] = [Number.NaN, Infinity, [], [['nested']], [Number.NaN], {}, null, undefined, 'x'.repeat(1_000_000)]
  for (const value of none) {
    await assert.rejects(cache.get(value as CacheKey), (error: Error) => {
      assert.equal((error as { code?: string }).code, 'KEELSON_CACHE_KEY_INVALID')
      assert.ok(error.message.length < 200)
      return true
    })
  }
})

test('a value is fresh for its lifetime by the monotonic clock, spread by a tenth', async () => {
  for (const [chance, fresh] of [
    [0, 900],
    [1, 1_000],
  ] as const) {
    const clock = new ManualClock()
    await using cache = createCache<string>({ name: 'ttl', ttlMs: 1_000, clock, random: () => chance })
    await cache.set('a', 'v')
    await clock.advance(fresh - 1)
    assert.equal(await cache.get('a'), 'v')
    await clock.advance(1)
    assert.equal(await cache.get('a'), undefined)
    assert.equal(clock.pendingTimers, 0)
  }
})

test('null is kept by its own rule, undefined never', async () => {
  const clock = new ManualClock()
  await using cache = createCache<string>({ name: 'null', ttlMs: 10_000, clock, random: () => 1 })
  let loads = 0
  const load = (): null => {
    loads++
    return null
  }
  assert.equal(await cache.getOrLoad('a', load), null)
  assert.equal(await cache.get('a'), null)
  await clock.advance(999)
  assert.equal(await cache.getOrLoad('a', load), null)
  assert.equal(loads, 1)
  await clock.advance(1)
  assert.equal(await cache.get('a'), undefined)
  await assert.rejects(
    cache.getOrLoad('b', () => undefined as unknown as string),
    { code: 'KEELSON_CACHE_VALUE_UNDEFINED' },
  )
  await assert.rejects(cache.set('b', undefined as unknown as string), { code: 'KEELSON_CACHE_VALUE_UNDEFINED' })
  await using strict = createCache<string>({ name: 'null', ttlMs: 10_000, negativeTtlMs: 0 })
  await strict.getOrLoad('a', load)
  assert.equal(await strict.get('a'), undefined)
})

test('memory never exceeds its bounds in bytes and entries, whatever is put', async () => {
  const operation = fc.record({
    key: fc.integer({ min: 0, max: 40 }),
    length: fc.integer({ min: 0, max: 3_000 }),
    kind: fc.constantFrom('set', 'get', 'invalidate', 'tag'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 200 }), async (operations) => {
      await using cache = createCache<string>({ name: 'bounds', ttlMs: 1_000, maxBytes: 40_000, maxEntries: 12 })
      for (const { key: k, length, kind } of operations) {
        if (kind === 'set') await cache.set(k, 'x'.repeat(length), { tags: [`t${k % 3}`] })
        else if (kind === 'get') await cache.get(k)
        else if (kind === 'invalidate') await cache.invalidate(k)
        else await cache.invalidateTags([`t${k % 3}`])
        const { bytes, entries } = cache.snapshot()
        assert.ok(bytes <= 40_000 && entries <= 12 && bytes >= 0, `${bytes} bytes, ${entries} entries`)
        assert.equal(bytes === 0, entries === 0)
      }
    }),
    { numRuns: 60 },
  )
})

test('a scan does not push out what is asked for again and again', async () => {
  await using cache = createCache<number>({ name: 'scan', ttlMs: 1_000_000, maxEntries: 100 })
  for (let round = 0; round < 3; round++) for (let i = 0; i < 50; i++) await cache.getOrLoad(`hot${i}`, () => i)
  for (let i = 0; i < 10_000; i++) await cache.getOrLoad(`scan${i}`, () => i)
  let hits = 0
  for (let i = 0; i < 50; i++) if ((await cache.get(`hot${i}`)) !== undefined) hits++
  assert.ok(hits >= 45, `${hits} of 50 left`)
})

test('a value too large for memory is served, counted, and not kept', async () => {
  const events: CacheEvent[] = []
  await using cache = createCache<unknown>({
    name: 'large',
    ttlMs: 1_000,
    maxBytes: 100_000,
    onEvent: (event) => events.push(event),
  })
  const cyclic: { self?: unknown } = {}
  cyclic.self = cyclic
  for (const value of ['x'.repeat(50_000), cyclic, Buffer.alloc(20_000), new Map([['k', 'x'.repeat(50_000)]])]) {
    assert.equal(await cache.getOrLoad('a', () => value), value)
    assert.equal(await cache.get('a'), undefined)
  }
  assert.equal(cache.snapshot().valuesRefused, 4)
  assert.deepEqual(events[0], { type: 'value.refused', source: 'large', level: 'l1', reason: 'too_large' })
})

test('with `freeze`, changing a shared value throws', async () => {
  await using cache = createCache<{ list: number[] }>({ name: 'frozen', ttlMs: 1_000, freeze: true })
  const value = await cache.getOrLoad('a', () => ({ list: [1] }))
  assert.throws(() => value?.list.push(2), TypeError)
})

test('live caches are listed until closed, and a closed one says so', async () => {
  const cache = createCache<number>({ name: 'listed', ttlMs: 1_000 })
  await cache.getOrLoad('a', () => 1)
  await cache.getOrLoad('a', () => 1)
  const [snapshot] = caches.snapshots().filter(({ name }) => name === 'listed')
  assert.equal(snapshot?.l1Hits, 1)
  assert.equal(snapshot?.loads, 1)
  assert.equal(snapshot?.l2, 'none')
  await cache[Symbol.asyncDispose]()
  await cache[Symbol.asyncDispose]()
  assert.deepEqual(
    caches.snapshots().filter(({ name }) => name === 'listed'),
    [],
  )
  await assert.rejects(
    cache.getOrLoad('a', () => 1),
    { code: 'KEELSON_CACHE_CLOSED' },
  )
  await assert.rejects(cache.invalidate('a'), { code: 'KEELSON_CACHE_CLOSED' })
})

test('two caches never share a load, even with the same name and key', async () => {
  await using a = createCache<string>({ name: 'same', ttlMs: 1_000 })
  await using b = createCache<string>({ name: 'same', ttlMs: 1_000 })
  const values = await Promise.all([a.getOrLoad('k', async () => 'of a'), b.getOrLoad('k', async () => 'of b')])
  assert.deepEqual(values, ['of a', 'of b'])
})

test('options that cannot work are refused by name', () => {
  const good = { name: 'a', ttlMs: 1 }
  const bad: Record<string, unknown>[] = [
    { ...good, name: 'has {braces}' },
    { ...good, ttlMs: 0 },
    { name: 'a' },
    { ...good, maxBytes: 0 },
    { ...good, ttl: 1 },
    { ...good, loadTimeoutMs: Infinity },
  ]
  for (const options of bad) {
    assert.throws(() => createCache(options as unknown as { name: string; ttlMs: number }), { code: 'KEELSON_CONFIG_INVALID' })
  }
})
