import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InvalidationMessage } from '../../src/cache/index.ts'
import type { App } from '../../src/index.ts'
import { pipelines } from '../../src/resilience/index.ts'
import { small } from './fixture.ts'

test('a name is used once per kind, because it names keys and metrics', async () => {
  await using service = await small((app) => {
    app.cache('thing', { ttlMs: 1_000 })
    app.pipeline('thing', { timeoutMs: 100 })
  })
  const { app } = service
  assert.throws(() => app.cache('thing', { ttlMs: 1 }), {
    code: 'KEELSON_CONFIG_INVALID',
    message: 'app.cache: `name` must be used once, got thing',
  })
  assert.throws(() => app.pipeline('thing', { timeoutMs: 1 }), { message: 'app.pipeline: `name` must be used once, got thing' })
})

test('caches, pipelines and cursors are the same in every scope', async () => {
  const seen: unknown[] = []
  await using service = await small(async (app) => {
    seen.push(app.cursors)
    await app.register(async (scope) => {
      seen.push(scope.cursors)
      scope.cache('inner', { ttlMs: 1_000 })
    })
  })
  assert.equal(seen[0], seen[1])
  assert.throws(() => service.app.cache('inner', { ttlMs: 1_000 }), /must be used once/)
})

test('a pipeline runs, is listed under its name, and leaves the list with the app', async () => {
  const { app } = await small()
  const market = app.pipeline('market', { timeoutMs: 1_000 })
  assert.equal(await market.run(async () => 7), 7)
  const listed = (): boolean => pipelines.snapshots().some(({ name }) => name === 'market')
  assert.equal(listed(), true)
  await app.close()
  assert.equal(listed(), false)
})

test('cursors need a secret: CURSOR_SECRET, else JWT_SECRET', async () => {
  const scope = { order: [{ column: 'id' }] }
  await using byToken = await small()
  const cursor = byToken.app.cursors.encode({ ...scope, values: ['7'] })
  assert.deepEqual(byToken.app.cursors.decode(cursor, scope), ['7'])
  await using byOwn = await small(() => {}, { env: { CURSOR_SECRET: 'another secret of thirty-two bytes or more' } })
  assert.throws(() => byOwn.app.cursors.decode(cursor, scope), { code: 'KEELSON_CURSOR_INVALID' })
  const env = { JWT_SECRET: '', JWKS_URL: 'https://issuer.example/jwks.json' }
  await using none = await small(() => {}, { env })
  assert.throws(() => none.app.cursors, {
    code: 'KEELSON_CONFIG_INVALID',
    message: /`CURSOR_SECRET` is needed to sign cursors without a JWT_SECRET/,
  })
})

test('an invalidation is told to the other processes over the bus, and what they tell is heard', async () => {
  const told: InvalidationMessage[] = []
  const listeners = new Set<(message: InvalidationMessage) => void>()
  const bus = {
    publish: (message: InvalidationMessage) => void told.push(message),
    subscribe(listener: (message: InvalidationMessage) => void) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  }
  const { app } = await small(() => {}, { bus })
  const cache = app.cache<number>('thing', { ttlMs: 60_000 })
  let value = 1
  const read = (): Promise<number | null> => cache.getOrLoad('a', () => value)
  assert.equal(await read(), 1)
  value = 2
  await cache.invalidate('a')
  assert.deepEqual([told.length, told[0]?.cache], [1, 'thing'])
  assert.equal(await read(), 2)
  value = 3
  for (const listener of listeners) listener({ ...told[0]!, origin: 'another process' })
  assert.equal(await read(), 3)
  await app.close()
  assert.equal(listeners.size, 0)
})

test('in development cached values are frozen, so that a handler that changes one is found', async () => {
  const frozen = async (mode: 'development' | 'production'): Promise<boolean> => {
    await using service = await small(() => {}, { mode })
    const cache = service.app.cache<{ list: number[] }>('thing', { ttlMs: 1_000 })
    return Object.isFrozen((await cache.getOrLoad('a', () => ({ list: [1] })))?.list)
  }
  assert.equal(await frozen('development'), true)
  assert.equal(await frozen('production'), false)
})

/** A route whose loader does what it is told to with the caller's request. */
function withLoader(load: string): (app: App) => void {
  return (app) => {
    const cache = app.cache<object>('thing', { ttlMs: 1_000 })
    app.get('/', { auth: false }, async (request) => {
      const loaders: Record<string, () => Promise<object>> = {
        deadline: async () => ({ ms: request.deadline.remainingMs }),
        later: async () => {
          await new Promise((resolve) => setImmediate(resolve))
          return { aborted: request.deadline.signal.aborted }
        },
        nothing: async () => ({ fine: true }),
        inject: async () => (await app.inject('/inner')).json<object>(),
      }
      const loaded = await cache.getOrLoad('a', loaders[load]!)
      // After the load, and before, the request is its handler's again.
      assert.ok(request.deadline.remainingMs > 0)
      return loaded
    })
    app.get('/many', { auth: false }, async (request) =>
      cache.getManyOrLoad(['a', 'b'], (keys) => new Map(keys.map((key) => [key, { ms: request.deadline.remainingMs }]))),
    )
    app.get('/inner', { auth: false }, async (request) => ({ aborted: request.deadline.signal.aborted }))
  }
}

test("in development a loader that uses its caller's request is told so", async () => {
  for (const [load, url] of [
    ['deadline', '/'],
    ['later', '/'],
    ['deadline', '/many'],
  ] as const) {
    await using service = await small(withLoader(load), { mode: 'development' })
    assert.equal((await service.app.inject(url)).statusCode, 500, load)
    const failed = service.log.find(({ msg }) => msg === 'request failed')?.['err'] as { message: string; code: string }
    assert.equal(failed.code, 'KEELSON_LOADER_USED_REQUEST')
    assert.match(failed.message, /^the loader of cache thing uses its caller's request/)
  }
})

test('a loader that uses what it is handed is left alone, and so is a request that began within one', async () => {
  for (const load of ['nothing', 'inject']) {
    await using service = await small(withLoader(load), { mode: 'development' })
    const answer = await service.app.inject('/')
    assert.equal(answer.statusCode, 200, answer.body)
  }
})

test('in production nobody looks', async () => {
  await using service = await small(withLoader('deadline'))
  assert.equal((await service.app.inject('/')).statusCode, 200)
})
