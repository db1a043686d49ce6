import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCache, type Cache } from '../../src/cache/index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { manualLoader, memoryBus, settle } from './harness.ts'

const ways: Record<string, (cache: Cache<string>) => Promise<unknown>> = {
  'invalidating the key': (cache) => cache.invalidate('a'),
  'invalidating many keys': (cache) => cache.invalidateMany(['x', 'a']),
  'invalidating the tag': (cache) => cache.invalidateTags(['other', 't']),
  clearing: (cache) => cache.clear(),
}

for (const [name, invalidate] of Object.entries(ways)) {
  test(`${name} during a load: its waiters get the value, nobody else does, and it is not stored`, async () => {
    await using cache = createCache<string>({ name: 'race', ttlMs: 60_000 })
    const { calls, load } = manualLoader<string>()
    const tagged = (context: { signal: AbortSignal; setTags(tags: string[]): void }): Promise<string | null> => {
      context.setTags(['t'])
      return load(context)
    }
    const early = cache.getOrLoad('a', tagged)
    await settle()
    await invalidate(cache)
    const late = cache.getOrLoad('a', tagged)
    await settle()
    calls[0]!.resolve('old')
    assert.equal(await early, 'old')
    await settle()
    assert.equal(await cache.get('a'), undefined)
    assert.equal(calls.length, 2)
    calls[1]!.resolve('new')
    assert.equal(await late, 'new')
    assert.equal(await cache.get('a'), 'new')
  })
}

test('a tag that the loader names only at its end still counts for an invalidation before', async () => {
  await using cache = createCache<string>({ name: 'race', ttlMs: 60_000 })
  const gate = Promise.withResolvers<void>()
  let loads = 0
  const load = async (context: { setTags(tags: string[]): void }): Promise<string> => {
    const n = ++loads
    if (n === 1) await gate.promise
    context.setTags(['late'])
    return `load ${n}`
  }
  const early = cache.getOrLoad('a', load)
  await settle()
  await cache.invalidateTags(['late'])
  const late = cache.getOrLoad('a', load)
  gate.resolve()
  assert.equal(await early, 'load 1')
  assert.equal(await late, 'load 2')
  assert.equal(await cache.get('a'), 'load 2')
})

test('setting during a load: the set value stays', async () => {
  await using cache = createCache<string>({ name: 'race', ttlMs: 60_000 })
  const { calls, load } = manualLoader<string>()
  const early = cache.getOrLoad('a', load)
  await settle()
  await cache.set('a', 'set')
  assert.equal(await cache.getOrLoad('a', load), 'set')
  calls[0]!.resolve('old')
  assert.equal(await early, 'old')
  await settle()
  assert.equal(await cache.get('a'), 'set')
})

test('an entry written just after a tag was invalidated is kept', async () => {
  await using cache = createCache<string>({ name: 'tags', ttlMs: 60_000 })
  await cache.invalidateTags(['t'])
  await cache.set('a', 'v', { tags: ['t'] })
  assert.equal(await cache.get('a'), 'v')
  await cache.invalidateTags(['t'])
  assert.equal(await cache.get('a'), undefined)
})

test('a replaced entry is no longer found by its old tags', async () => {
  await using cache = createCache<string>({ name: 'tags', ttlMs: 60_000 })
  await cache.set('a', 'v1', { tags: ['old'] })
  await cache.set('a', 'v2', { tags: ['new'] })
  await cache.invalidateTags(['old'])
  assert.equal(await cache.get('a'), 'v2')
})

test('an invalidated value is not served when loading fails', async () => {
  const clock = new ManualClock()
  await using cache = createCache<string>({
    name: 'sie',
    ttlMs: 1_000,
    staleIfErrorMs: 60_000,
    staleWhileRevalidateMs: 60_000,
    clock,
  })
  await cache.set('a', 'old')
  await clock.advance(1_000)
  await cache.invalidate('a')
  const load = (): string => {
    throw new Error('down')
  }
  await assert.rejects(cache.getOrLoad('a', load), /down/)
})

test('an invalidation during a background refresh beats it too', async () => {
  const clock = new ManualClock()
  await using cache = createCache<string>({ name: 'swr', ttlMs: 1_000, staleWhileRevalidateMs: 60_000, clock })
  await cache.set('a', 'v1')
  await clock.advance(1_000)
  const { calls, load } = manualLoader<string>()
  assert.equal(await cache.getOrLoad('a', load), 'v1')
  await settle()
  await cache.invalidate('a')
  calls[0]!.resolve('v2')
  await settle()
  assert.equal(await cache.get('a'), undefined)
  const next = cache.getOrLoad('a', load)
  await settle()
  calls[1]!.resolve('v3')
  assert.equal(await next, 'v3')
})

test('other processes of the machine hear of it over the bus, by name and not their own echo', async () => {
  const bus = memoryBus()
  await using a = createCache<string>({ name: 'bus', ttlMs: 60_000, bus: bus.port() })
  await using b = createCache<string>({ name: 'bus', ttlMs: 60_000, bus: bus.port() })
  await using other = createCache<string>({ name: 'other', ttlMs: 60_000, bus: bus.port() })
  for (const cache of [a, b, other]) {
    await cache.set('plain', 'v')
    await cache.set(['tuple', 1], 'v', { tags: ['t'] })
  }
  await b.set('plain', 'v')
  await a.invalidate('plain')
  assert.equal(await b.get('plain'), undefined)
  assert.equal(await other.get('plain'), 'v')
  await b.set(['tuple', 1], 'v', { tags: ['t'] })
  await a.invalidateTags(['t'])
  assert.equal(await b.get(['tuple', 1]), undefined)
  await a.set('x', 'of a')
  assert.equal(await a.get('x'), 'of a')
  await b.clear()
  assert.equal(await a.get('x'), undefined)
})

test('a message that comes during a load elsewhere voids it, and a late or repeated one does no harm', async () => {
  const bus = memoryBus({ held: true })
  await using a = createCache<string>({ name: 'bus', ttlMs: 60_000, bus: bus.port() })
  await using b = createCache<string>({ name: 'bus', ttlMs: 60_000, bus: bus.port() })
  const { calls, load } = manualLoader<string>()
  const early = b.getOrLoad('a', load)
  await settle()
  await a.invalidate('a')
  bus.deliver()
  calls[0]!.resolve('old')
  assert.equal(await early, 'old')
  assert.equal(await b.get('a'), undefined)
  await a.invalidate('a')
  await b.set('a', 'newer')
  bus.deliver()
  bus.deliver()
  assert.equal(await b.get('a'), undefined)
})

test('what is no message is ignored', async () => {
  let hear: (message: never) => void = () => {}
  await using cache = createCache<string>({
    name: 'bus',
    ttlMs: 60_000,
    bus: {
      publish() {},
      subscribe(listener) {
        hear = listener
        return { [Symbol.dispose]() {} }
      },
    },
  })
  await cache.set('a', 'v')
  for (const message of [null, 1, 'x', {}, { cache: 'bus' }, { cache: 'bus', origin: 'o', keys: 'a', tags: [], clear: true }]) {
    hear(message as never)
  }
  assert.equal(await cache.get('a'), 'v')
})
