import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCache, type Load } from '../../src/cache/index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { manualLoader, settle } from './harness.ts'

test('a thousand waiters cost one load', async () => {
  await using cache = createCache<number>({ name: 'flight', ttlMs: 1_000 })
  const { calls, load } = manualLoader<number>()
  const waiting = Array.from({ length: 1_000 }, () => cache.getOrLoad('a', load))
  await settle()
  assert.equal(calls.length, 1)
  calls[0]!.resolve(7)
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set([7]))
  assert.equal(cache.snapshot().coalesced, 999)
})

test('a thousand waiters on a failing loader cost one call and get its error', async () => {
  await using cache = createCache<number>({ name: 'flight', ttlMs: 1_000 })
  let loads = 0
  const failure = new Error('the source is down')
  const load = async (): Promise<number> => {
    loads++
    await settle()
    throw failure
  }
  const results = await Promise.allSettled(Array.from({ length: 1_000 }, () => cache.getOrLoad('a', load)))
  assert.ok(results.every((result) => result.status === 'rejected' && result.reason === failure))
  assert.equal(loads, 1)
  assert.equal(await cache.getOrLoad('a', () => 1), 1)
})

test('a loader that throws at once is like one that rejects', async () => {
  await using cache = createCache<number>({ name: 'flight', ttlMs: 1_000 })
  const load = (): number => {
    throw new Error('at once')
  }
  await assert.rejects(cache.getOrLoad('a', load), /at once/)
  assert.equal(cache.snapshot().loadFailures, 1)
  assert.equal(cache.snapshot().loadsInFlight, 0)
})

test('the first caller leaves, the others get their value, and the load never hears of it', async () => {
  await using cache = createCache<number>({ name: 'leave', ttlMs: 1_000 })
  const { calls, load } = manualLoader<number>()
  const leaving = new AbortController()
  const first = cache.getOrLoad('a', load, { signal: leaving.signal })
  const second = cache.getOrLoad('a', load, { signal: new AbortController().signal })
  await settle()
  leaving.abort(new Error('gone'))
  await assert.rejects(first, /gone/)
  assert.equal(calls[0]!.signal.aborted, false)
  calls[0]!.resolve(1)
  assert.equal(await second, 1)
  assert.equal(calls.length, 1)
})

test('when everyone has left the load is ended, and whoever comes next starts a new one', async () => {
  await using cache = createCache<number>({ name: 'leave', ttlMs: 1_000 })
  const { calls, load } = manualLoader<number>()
  const leaving = new AbortController()
  const both = [1, 2].map(() => cache.getOrLoad('a', load, { signal: leaving.signal }))
  await settle()
  leaving.abort(new Error('gone'))
  for (const result of await Promise.allSettled(both)) assert.equal(result.status, 'rejected')
  assert.equal(calls[0]!.signal.aborted, true)
  assert.equal((calls[0]!.signal.reason as { code: string }).code, 'KEELSON_CACHE_LOAD_ABANDONED')
  const next = cache.getOrLoad('a', load)
  await settle()
  calls[0]!.resolve(1)
  calls[1]!.resolve(2)
  assert.equal(await next, 2)
  assert.equal(await cache.get('a'), 2)
  assert.equal(cache.snapshot().loadsAbandoned, 1)
  assert.equal(cache.snapshot().loadFailures, 0)
})

test('a load that everyone has left is no failure: whoever comes next is not put off with an old value', async () => {
  const clock = new ManualClock()
  await using cache = createCache<string>({ name: 'leave', ttlMs: 1_000, staleIfErrorMs: 60_000, clock })
  await cache.set('a', 'old')
  await clock.advance(1_000)
  const { calls, load } = manualLoader<string>()
  const leaving = new AbortController()
  const impatient = cache.getOrLoad('a', load, { signal: leaving.signal })
  await settle()
  leaving.abort(new Error('gone'))
  await assert.rejects(impatient, /gone/)
  await settle()
  const patient = cache.getOrLoad('a', load)
  await settle()
  assert.equal(calls.length, 2)
  calls[1]!.resolve('new')
  assert.equal(await patient, 'new')
  assert.equal(cache.snapshot().staleServed, 0)
})

test('a caller that is gone already starts nothing', async () => {
  await using cache = createCache<number>({ name: 'leave', ttlMs: 1_000 })
  const reason = new Error('gone before')
  let loads = 0
  await assert.rejects(
    cache.getOrLoad('a', () => ++loads, { signal: AbortSignal.abort(reason) }),
    reason,
  )
  assert.equal(loads, 0)
})

test('a loader that never ends is given up after its time, and its late value is lost', async () => {
  const clock = new ManualClock()
  await using cache = createCache<number>({ name: 'slow', ttlMs: 60_000, clock })
  const { calls, load } = manualLoader<number>()
  const waiting = assert.rejects(cache.getOrLoad('a', load), { code: 'KEELSON_CACHE_LOAD_TIMEOUT', kind: 'timeout' })
  await clock.advance(10_000)
  await waiting
  assert.equal(calls[0]!.signal.aborted, true)
  calls[0]!.resolve(1)
  await settle()
  assert.equal(await cache.get('a'), undefined)
  assert.equal(clock.pendingTimers, 0)
})

test('the loader is handed a deadline of its own, and what it sets holds', async () => {
  const clock = new ManualClock()
  await using cache = createCache<string>({ name: 'context', ttlMs: 1_000, staleIfErrorMs: 10_000, clock, random: () => 1 })
  const seen: Load<string>[] = []
  await cache.getOrLoad('a', (load) => {
    seen.push(load)
    assert.equal(load.deadline, load)
    assert.equal(load.remainingMs, 10_000)
    assert.equal(load.stale, undefined)
    load.setTtl(50)
    load.setTags(['t'])
    assert.throws(() => load.setTtl(-1), { code: 'KEELSON_CACHE_ARGUMENT_INVALID' })
    assert.throws(() => load.setTags(['']), { code: 'KEELSON_CACHE_ARGUMENT_INVALID' })
    assert.throws(() => load.setTags(Array.from({ length: 17 }, (_, i) => `t${i}`)), { code: 'KEELSON_CACHE_ARGUMENT_INVALID' })
    return 'old'
  })
  await clock.advance(50)
  const second = await cache.getOrLoad('a', (load) => {
    assert.equal(load.stale, 'old')
    return load.notFound(20)
  })
  assert.equal(second, null)
  await clock.advance(19)
  assert.equal(await cache.get('a'), null)
  await clock.advance(1)
  assert.equal(await cache.get('a'), undefined)
  assert.equal(seen[0]!.signal.aborted, false)
})

test('with a stale value and a failing source: the old value, one try per throttle, then the error', async () => {
  const clock = new ManualClock()
  await using cache = createCache<string>({ name: 'sie', ttlMs: 1_000, staleIfErrorMs: 10_000, clock, random: () => 1 })
  await cache.set('a', 'old')
  await clock.advance(1_000)
  let loads = 0
  const load = async (): Promise<string> => {
    loads++
    throw new Error('down')
  }
  const many = await Promise.all(Array.from({ length: 1_000 }, () => cache.getOrLoad('a', load)))
  assert.deepEqual(new Set(many), new Set(['old']))
  assert.equal(loads, 1)
  await clock.advance(1_999)
  assert.equal(await cache.getOrLoad('a', load), 'old')
  assert.equal(loads, 1)
  await clock.advance(1)
  assert.equal(await cache.getOrLoad('a', load), 'old')
  assert.equal(loads, 2)
  await clock.advance(2_000)
  assert.equal(await cache.getOrLoad('a', () => 'new'), 'new')
  await clock.advance(11_000)
  await assert.rejects(cache.getOrLoad('a', load), /down/)
})

test('a hanging source with a stale value: the old value, after the time of the load', async () => {
  const clock = new ManualClock()
  await using cache = createCache<string>({ name: 'sie', ttlMs: 1_000, staleIfErrorMs: 60_000, loadTimeoutMs: 500, clock })
  await cache.set('a', 'old')
  await clock.advance(1_000)
  const waiting = cache.getOrLoad('a', manualLoader<string>().load)
  await clock.advance(500)
  assert.equal(await waiting, 'old')
})

test('while revalidating, everyone is served the old value at once and one load runs, longer than any caller', async () => {
  const clock = new ManualClock()
  await using cache = createCache<string>({ name: 'swr', ttlMs: 1_000, staleWhileRevalidateMs: 5_000, clock })
  await cache.set('a', 'old')
  await clock.advance(1_000)
  const { calls, load } = manualLoader<string>()
  const caller = new AbortController()
  const many = Array.from({ length: 100 }, () => cache.getOrLoad('a', load, { signal: caller.signal }))
  assert.deepEqual(new Set(await Promise.all(many)), new Set(['old']))
  caller.abort()
  await settle()
  assert.equal(calls.length, 1)
  assert.equal(calls[0]!.signal.aborted, false)
  calls[0]!.resolve('new')
  await settle()
  assert.equal(await cache.getOrLoad('a', load), 'new')
})

test('a refresh that fails is tried again only after a while, and the old value lives on', async () => {
  const clock = new ManualClock()
  await using cache = createCache<string>({ name: 'swr', ttlMs: 1_000, staleWhileRevalidateMs: 60_000, clock, random: () => 1 })
  await cache.set('a', 'old')
  await clock.advance(1_000)
  let loads = 0
  const load = async (): Promise<string> => {
    loads++
    throw new Error('down')
  }
  for (let i = 0; i < 10; i++) {
    assert.equal(await cache.getOrLoad('a', load), 'old')
    await settle()
  }
  assert.equal(loads, 1)
  await clock.advance(2_000)
  assert.equal(await cache.getOrLoad('a', load), 'old')
  await settle()
  assert.equal(loads, 2)
})

test('many keys: what is missing is loaded by one call, and shared with those who ask for one of them', async () => {
  await using cache = createCache<string>({ name: 'many', ttlMs: 1_000 })
  await cache.set('b', 'B')
  const asked: unknown[] = []
  const done = Promise.withResolvers<void>()
  const many = cache.getManyOrLoad(['a', 'b', ['c', 1], 'a', 'd'], async (keys) => {
    asked.push(keys)
    await done.promise
    return new Map(keys.filter((key) => key !== 'd').map((key) => [key, `loaded ${JSON.stringify(key)}`]))
  })
  const one = cache.getOrLoad('a', () => 'not called')
  await settle()
  done.resolve()
  assert.deepEqual(await many, ['loaded "a"', 'B', 'loaded ["c",1]', 'loaded "a"', null])
  assert.equal(await one, 'loaded "a"')
  assert.deepEqual(asked, [['a', ['c', 1], 'd']])
  assert.equal(await cache.get('d'), null)
  assert.deepEqual(await cache.getManyOrLoad([], () => new Map()), [])
  const notAMap = (): Map<string, string> => ['x'] as unknown as Map<string, string>
  await assert.rejects(cache.getManyOrLoad(['x'], notAMap), { code: 'KEELSON_CACHE_ARGUMENT_INVALID' })
})

test('many old keys are refreshed by one call', async () => {
  const clock = new ManualClock()
  await using cache = createCache<number>({ name: 'many', ttlMs: 1_000, staleWhileRevalidateMs: 5_000, clock })
  for (const key of ['a', 'b', 'c']) await cache.set(key, 0)
  await clock.advance(1_000)
  let calls = 0
  const values = await cache.getManyOrLoad(['a', 'b', 'c'], async (keys) => {
    calls++
    return new Map(keys.map((key) => [key, 1]))
  })
  assert.deepEqual(values, [0, 0, 0])
  await settle()
  assert.equal(calls, 1)
  assert.equal(await cache.get('c'), 1)
})

test('closing ends the loads and leaves no timer', async () => {
  const clock = new ManualClock()
  const cache = createCache<number>({ name: 'close', ttlMs: 1_000, clock })
  const { calls, load } = manualLoader<number>()
  const waiting = assert.rejects(cache.getOrLoad('a', load), { code: 'KEELSON_CACHE_CLOSED' })
  await settle()
  await cache[Symbol.asyncDispose]()
  await waiting
  assert.equal(calls[0]!.signal.aborted, true)
  assert.equal(clock.pendingTimers, 0)
})
