/**
 * Whatever the order of reads, loads, writes and invalidations: a read never returns what was invalidated before it
 * began. The source counts versions up; each read is held against the last version invalidated before it.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { createCache, type Cache, type Invalidation, type Load } from '../../src/cache/index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { redisForTests, type TestRedis } from '../../src/testing/redis-server.ts'
import { node, settle } from './harness.ts'

type How = 'key' | 'many' | 'tag' | 'clear' | 'set'

const TELL: Record<How, (cache: Cache<number>, k: number, version: number) => Promise<Invalidation>> = {
  key: (cache, k) => cache.invalidate(k),
  many: (cache, k) => cache.invalidateMany([k]),
  tag: (cache, k) => cache.invalidateTags([`tag${k}`]),
  clear: (cache) => cache.clear(),
  set: (cache, k, version) => cache.set(k, version, { tags: [`tag${k}`] }),
}

type Step =
  | { readonly op: 'read' | 'peek'; readonly node: number; readonly key: number }
  | { readonly op: 'write'; readonly node: number; readonly key: number; readonly how: How }
  | { readonly op: 'release'; readonly fails: boolean }
  | { readonly op: 'advance'; readonly ms: number }
  | { readonly op: 'lose'; readonly key: number }

const KEYS = [0, 1, 2] as const
const key = fc.constantFrom(...KEYS)

function steps(nodes: number): fc.Arbitrary<Step[]> {
  const at = fc.integer({ min: 0, max: nodes - 1 })
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 5, arbitrary: fc.record({ op: fc.constant('read' as const), node: at, key }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('peek' as const), node: at, key }) },
    {
      weight: 4,
      arbitrary: fc.record({
        op: fc.constant('write' as const),
        node: at,
        key,
        how: fc.constantFrom<How>('key', 'many', 'tag', 'clear', 'set'),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ op: fc.constant('release' as const), fails: fc.constantFrom(false, false, false, true) }),
    },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 1_500 }) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('lose' as const), key }) },
  )
  return fc.array(step, { minLength: 5, maxLength: 40 })
}

/** Runs the steps against `caches`, and checks every read. */
async function run(
  caches: readonly Cache<number>[],
  clock: ManualClock,
  todo: readonly Step[],
  lose: (key: number) => Promise<unknown>,
): Promise<void> {
  const source = new Map<number, number>(KEYS.map((k) => [k, 0]))
  /** The last version invalidated through one cache, and through any. */
  const floors = caches.map(() => new Map<number, number>())
  const anywhere = new Map<number, number>()
  const loading: { release(fails: boolean): void }[] = []
  const reads: Promise<void>[] = []
  const problems: unknown[] = []

  const load =
    (k: number) =>
    async (context: Load<number>): Promise<number> => {
      const version = source.get(k)!
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      loading.push({ release: (fails) => (fails ? reject(new Error('source failed')) : resolve()) })
      await promise
      context.setTags([`tag${k}`])
      return version
    }
  const check = (what: string, k: number, value: number | null | undefined, floor: number): void =>
    assert.ok(
      value === undefined || (value !== null && value >= floor),
      `${what} of ${k}: ${value}, but ${floor} was invalidated before`,
    )

  async function read(n: number, k: number): Promise<void> {
    const floor = floors[n]!.get(k) ?? 0
    const value = await caches[n]!.getOrLoad(k, load(k)).catch((error: Error) => assert.equal(error.message, 'source failed'))
    if (value !== undefined) check(`read ${n}`, k, value, floor)
  }

  async function write(n: number, k: number, how: How): Promise<void> {
    const version = source.get(k)! + 1
    source.set(k, version)
    const cache = caches[n]!
    const written: readonly number[] = how === 'clear' ? KEYS : [k]
    const telling = TELL[how](cache, k, version)
    // Here it holds from the moment of the call, elsewhere from the moment that it is complete.
    const versions = written.map((each) => [each, source.get(each)!] as const)
    for (const [each, v] of versions) floors[n]!.set(each, v)
    assert.deepEqual(await telling, { complete: true })
    for (const [each, v] of versions) anywhere.set(each, Math.max(v, anywhere.get(each) ?? 0))
  }

  async function perform(step: Step): Promise<unknown> {
    switch (step.op) {
      case 'read':
        return reads.push(read(step.node, step.key).catch((error: unknown) => void problems.push(error)))
      case 'peek':
        return check('peek', step.key, await caches[step.node]!.get(step.key), anywhere.get(step.key) ?? 0)
      case 'write':
        return await write(step.node, step.key, step.how)
      case 'release':
        return loading.shift()?.release(step.fails)
      case 'advance':
        return await clock.advance(step.ms)
      case 'lose':
        return await lose(step.key)
    }
  }

  for (const step of todo) {
    await perform(step)
    await settle()
  }
  // A late invalidation may have sent waiters round again, so there can be new loads.
  let done = false
  const all = Promise.all(reads).finally(() => (done = true))
  while (!done) {
    for (const each of loading.splice(0)) each.release(false)
    await settle()
  }
  await all
  if (problems.length > 0) throw problems[0]
  for (const [n, cache] of caches.entries())
    for (const k of KEYS) check(`last peek ${n}`, k, await cache.get(k), anywhere.get(k) ?? 0)
}

test('in one process', async () => {
  await fc.assert(
    fc.asyncProperty(steps(1), async (todo) => {
      const clock = new ManualClock()
      await using cache = createCache<number>({
        name: 'one',
        ttlMs: 1_000,
        staleWhileRevalidateMs: 1_000,
        staleIfErrorMs: 3_000,
        clock,
      })
      await run([cache], clock, todo, async () => {})
      assert.equal(cache.snapshot().loadsInFlight, 0)
    }),
    { numRuns: 500 },
  )
})

let server: TestRedis
let raw: Redis
before(async () => {
  server = await redisForTests()
  raw = new Redis(server.url)
})
after(async () => {
  raw.disconnect()
  await server[Symbol.asyncDispose]()
})

test('in three processes over one Redis, which may lose entries', async () => {
  let n = 0
  await fc.assert(
    fc.asyncProperty(steps(3), async (todo) => {
      const clock = new ManualClock()
      const keyPrefix = `${server.prefix}${n++}:`
      const config = {
        name: 'three',
        ttlMs: 1_000,
        staleIfErrorMs: 3_000,
        staleWhileRevalidateMs: 1_000,
        maxStalenessMs: 0,
        keyPrefix,
        clock,
      }
      await using a = await node<number>(server.url, config)
      await using b = await node<number>(server.url, config)
      await using c = await node<number>(server.url, config)
      await run([a.cache, b.cache, c.cache], clock, todo, (k) => raw.unlink(`${keyPrefix}{three}:k:#${k}`))
    }),
    { numRuns: 100 },
  )
})
