/** Policies that are planned and not there yet keep a service from starting. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { App } from '../../src/index.ts'
import { small } from './fixture.ts'

const handler = async (): Promise<object> => ({})

async function refusal(register: (app: App) => void | Promise<void>): Promise<Error & { readonly code: string }> {
  const service = await small(register, { ready: false })
  try {
    await service.app.ready()
  } catch (error) {
    return error as never
  } finally {
    await service[Symbol.asyncDispose]()
  }
  throw new Error('the service has started')
}

for (const [option, value] of [
  ['idempotencyKey', 'required'],
  ['rateLimit', { max: 10 }],
  ['cache', { ttlMs: 1_000 }],
  ['priority', 'low'],
] as const) {
  test(`\`${option}\` is refused, on the route and in config.keelson, and the error names both`, async () => {
    const onRoute = await refusal((app) => app.get('/things', { auth: false, [option]: value }, handler) as never)
    assert.equal(onRoute.code, 'KEELSON_POLICY_REFUSED')
    assert.equal(onRoute.message, `these routes ask for what is not there:\n  GET /things   \`${option}\` is not available yet`)
    const inConfig = await refusal(
      (app) => app.get('/things', { auth: false, config: { keelson: { [option]: value } } }, handler) as never,
    )
    assert.match(inConfig.message, new RegExp(`GET /things {3}\`config.keelson.${option}\` is not available yet$`))
  })
}

test('a name in config.keelson that no policy has is refused, with those that there are', async () => {
  const error = await refusal(
    (app) => app.get('/things', { auth: false, config: { keelson: { deadline: 5 } } }, handler) as never,
  )
  assert.match(error.message, /`config\.keelson\.deadline` is not a policy \(there are auth, deadlineMs, log, produces\)/)
})

test('all such routes are listed at once, each once', async () => {
  const error = await refusal(async (app) => {
    const config = { keelson: { rateLimit: 5 } }
    await app.register(
      async (scope) => {
        scope.get('/', { auth: false, config }, handler)
        scope.post('/', { auth: false, idempotencyKey: 'required' } as object, handler)
      },
      { prefix: '/things' },
    )
    app.route({ method: ['PUT', 'PATCH'], url: '/both', auth: false, cache: {}, handler } as never)
  })
  assert.deepEqual(error.message.split('\n').slice(1), [
    '  GET /things   `config.keelson.rateLimit` is not available yet',
    '  POST /things   `idempotencyKey` is not available yet',
    '  PUT,PATCH /both   `cache` is not available yet',
  ])
})

test("what a scope's own hook puts into the config is seen as well", async () => {
  const error = await refusal(async (app) => {
    await app.register(async (scope) => {
      scope.addHook('onRoute', (route) => {
        route.config = { ...route.config, keelson: { priority: 1 } } as never
      })
      scope.get('/things', { auth: false }, handler)
    })
  })
  assert.match(error.message, /GET \/things {3}`config\.keelson\.priority`/)
})

test('API keys are refused where the policy names them', async () => {
  const policy = { auth: { apiKeys: true, scopes: ['a'] } } as object
  await assert.rejects(
    small((app) => void app.get('/things', policy, handler)),
    {
      code: 'KEELSON_CONFIG_INVALID',
      message: /^GET \/things: `auth\.apiKeys` is not an option: API keys and others are not available/,
    },
  )
})

test('a route without a policy is told of with the line to add', async () => {
  const error = await refusal((app) => app.get('/things', handler) as never)
  assert.equal(error.code, 'KEELSON_POLICY_MISSING')
  assert.match(error.message, /GET \/things {3}add {2}auth:/)
})

test('the table of routes shows each with its policies, a scope default and config.keelson included', async () => {
  await using service = await small(async (app) => {
    app.get('/own', { auth: 'any', deadlineMs: 5 }, handler)
    app.get('/config', { config: { keelson: { auth: false, deadlineMs: 7 } } }, handler)
    await app.register(
      async (scope) => {
        scope.policy({ auth: { scopes: ['admin'] } })
        scope.get('/', handler)
      },
      { prefix: '/admin' },
    )
    app.get('/slash/', { auth: false }, handler)
  })
  const table = service.app.routeTable.filter(({ method }) => method === 'GET')
  const found = (path: string): unknown => table.find((route) => route.path === path)
  assert.deepEqual(found('/own'), { method: 'GET', path: '/own', auth: 'any', deadlineMs: 5 })
  assert.deepEqual(found('/config'), { method: 'GET', path: '/config', auth: false, deadlineMs: 7 })
  assert.deepEqual(found('/admin'), { method: 'GET', path: '/admin', auth: { scopes: ['admin'] }, deadlineMs: undefined })
  assert.deepEqual(found('/slash/'), { method: 'GET', path: '/slash/', auth: false, deadlineMs: undefined })
})
