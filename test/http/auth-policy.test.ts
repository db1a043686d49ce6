import assert from 'node:assert/strict'
import { test } from 'node:test'
import cors from '@fastify/cors'
import fastify, { type FastifyInstance, type RouteOptions } from 'fastify'
import { auth, createVerifier, type AuthEvent, type AuthOptions } from '../../src/http/auth/index.ts'
import { errors } from '../../src/http/errors/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { AUDIENCE, forged, ISSUER, SECRET } from './auth-forge.ts'

const verifier = createVerifier({ issuer: ISSUER, audience: AUDIENCE, key: { secret: SECRET }, clock: new ManualClock() })
const ok = async () => ({ ok: true })

async function appWith(options: Partial<AuthOptions> = {}): Promise<FastifyInstance> {
  const app = fastify()
  await app.register(auth, { verifier, ...options })
  return app
}

const bearer = (claims?: Record<string, unknown>) => ({ authorization: `Bearer ${forged(claims)}` })

test('scopes: all that the route asks for are needed; the refusal names them', async () => {
  const events: AuthEvent[] = []
  const app = await appWith({ onEvent: (event) => events.push(event) })
  app.post('/things/:id', { auth: { scopes: ['users:read', 'users:write'] } }, ok)
  const call = (scope?: string) => app.inject({ method: 'POST', url: '/things/1', headers: bearer({ scope }) })

  assert.equal((await call('users:write x users:read')).statusCode, 200)
  for (const scope of [undefined, '', 'users:read', 'users:writer users:read', 'USERS:WRITE users:read']) {
    const response = await call(scope)
    assert.equal(response.statusCode, 403, String(scope))
    assert.equal(response.headers['www-authenticate'], 'Bearer error="insufficient_scope", scope="users:read users:write"')
  }
  assert.deepEqual(events[0], {
    type: 'access.refused',
    source: 'auth',
    route: '/things/:id',
    required: ['users:read', 'users:write'],
  })
})

test('the principal says who it is, and is the same for every handler', async () => {
  const app = await appWith()
  app.get('/me', { auth: 'any' }, async ({ principal }) => ({ ...principal, scopes: [...(principal?.scopes ?? [])] }))
  const me = (await app.inject({ url: '/me', headers: bearer({ tenant: { id: 7 } }) })).json()
  assert.equal(me.sub, 'user-1')
  assert.equal(me.username, 'ada')
  assert.deepEqual(me.scopes, ['users:read', 'users:write'])
  assert.deepEqual(me.claims.tenant, { id: 7 })
})

test('nobody is asked for a token before the route is known, nor is a body read for nothing', async () => {
  const app = await appWith()
  const seen: string[] = []
  app.post(
    '/things',
    {
      auth: 'any',
      onRequest: async (request) => void seen.push(`own hook of ${request.principal?.sub}`),
      preParsing: async (_request, _reply, payload) => (seen.push('body'), payload),
    },
    ok,
  )
  assert.equal(
    (await app.inject({ method: 'POST', url: '/things', payload: '{not json', headers: { 'content-type': 'application/json' } }))
      .statusCode,
    401,
  )
  assert.equal((await app.inject({ url: '/nowhere' })).statusCode, 404)
  assert.deepEqual(seen, [])
  assert.equal((await app.inject({ method: 'POST', url: '/things', payload: {}, headers: bearer() })).statusCode, 200)
  assert.deepEqual(seen, ['own hook of user-1', 'body'])
})

test('a scope sets the default of its routes and of the scopes inside; its neighbours keep theirs', async () => {
  const app = await appWith({ demandPolicy: true })
  app.policy({ auth: 'any' })
  app.get('/root', ok)
  await app.register(async (admin) => {
    admin.policy({ auth: { scopes: ['admin'] } })
    admin.get('/admin', ok)
    await admin.register(async (inner) => {
      inner.get('/admin/inner', ok)
      inner.get('/admin/open', { auth: false }, ok)
    })
  })
  await app.register(async (open) => {
    open.policy({ auth: false })
    open.get('/open', ok)
  })
  await app.register(async (plain) => void plain.get('/plain', ok))

  const status = async (url: string, headers = {}) => (await app.inject({ url, headers })).statusCode
  const answers = (urls: readonly string[], headers?: object) => Promise.all(urls.map((url) => status(url, headers)))
  const urls = ['/root', '/admin', '/admin/inner', '/admin/open', '/open', '/plain']
  assert.deepEqual(await answers(urls), [401, 401, 401, 200, 200, 401])
  assert.deepEqual(await answers(urls, bearer()), [200, 403, 403, 200, 200, 200])
  assert.deepEqual(await answers(urls, bearer({ scope: 'admin' })), [200, 200, 200, 200, 200, 200])
})

test('HEAD takes the policy of its GET, a preflight takes none', async () => {
  const app = await appWith({ demandPolicy: true })
  await app.register(cors, { origin: 'https://app.example' })
  app.policy({ auth: 'any' })
  app.get('/things', { auth: { scopes: ['users:read'] } }, ok)
  const head = (headers = {}) => app.inject({ method: 'HEAD', url: '/things', headers })
  assert.equal((await head()).statusCode, 401)
  assert.equal((await head(bearer({ scope: 'x' }))).statusCode, 403)
  assert.equal((await head(bearer())).statusCode, 200)
  const preflight = { origin: 'https://app.example', 'access-control-request-method': 'GET' }
  assert.equal((await app.inject({ method: 'OPTIONS', url: '/things', headers: preflight })).statusCode, 204)
})

test('both forms of a route under a prefix are guarded', async () => {
  const app = await appWith()
  await app.register(async (scope) => void scope.get('/', { auth: 'any' }, ok), { prefix: '/things' })
  for (const url of ['/things', '/things/']) {
    assert.equal((await app.inject({ url })).statusCode, 401)
    assert.equal((await app.inject({ url, headers: bearer() })).statusCode, 200)
  }
})

test('a policy in `config.keelson` counts as one on the route', async () => {
  const app = await appWith({ demandPolicy: true })
  app.get('/a', { config: { keelson: { auth: 'any' } } as object }, ok)
  app.get('/b', { auth: 'any', config: { keelson: { auth: 'any' } } as object }, ok)
  assert.equal((await app.inject('/a')).statusCode, 401)
  assert.equal((await app.inject('/b')).statusCode, 401)
})

test('demanded policies: one error lists every route without one, and the line to add', async () => {
  const app = await appWith({ demandPolicy: true })
  app.get('/a', ok)
  app.route({ method: ['PUT', 'PATCH'], url: '/b/:id', handler: ok })
  app.get('/fine', { auth: 'any' }, ok)
  await app.register(async (scope) => void scope.delete('/c', ok), { prefix: '/v1' })
  await assert.rejects(
    async () => app.ready(),
    (error: Error & { code: string; details: unknown }) => {
      assert.equal(error.code, 'KEELSON_POLICY_MISSING')
      assert.deepEqual(error.details, { routes: ['GET /a', 'PUT,PATCH /b/:id', 'DELETE /v1/c'] })
      assert.match(error.message, /DELETE \/v1\/c +add +auth: \{ scopes/)
      return true
    },
  )
})

test('whoever describes routes sees the policy in force, also one that a scope has set', async () => {
  const seen: Record<string, unknown> = {}
  const app = await appWith()
  app.addHook('onRoute', (route) => void (seen[`${String(route.method)} ${route.url}`] = route.auth))
  app.policy({ auth: 'any' })
  const options = {}
  app.get('/a', options, ok)
  app.get('/b', { auth: false, exposeHeadRoute: false }, ok)
  assert.deepEqual(seen, { 'GET /a': 'any', 'HEAD /a': 'any', 'GET /b': false })
  assert.deepEqual(options, {})
})

test('what cannot be told is a 503, which Fastify alone answers too', async () => {
  const revoked = () => Promise.reject(new Error('down'))
  const unsure = createVerifier({
    issuer: ISSUER,
    audience: AUDIENCE,
    key: { secret: SECRET },
    clock: new ManualClock(),
    revoked,
  })
  const app = await appWith({ verifier: unsure })
  app.get('/a', { auth: 'any' }, ok)
  const response = await app.inject({ url: '/a', headers: bearer() })
  assert.deepEqual([response.statusCode, response.headers['www-authenticate']], [503, undefined])
})

test('with the problem documents of `keelson/http/errors`, statuses and challenges stay', async () => {
  const app = fastify()
  await app.register(errors)
  await app.register(auth, { verifier })
  app.get('/a', { auth: { scopes: ['admin'] } }, ok)
  const answers = [
    await app.inject('/a'),
    await app.inject({ url: '/a', headers: { authorization: 'Bearer x' } }),
    await app.inject({ url: '/a', headers: bearer() }),
  ]
  assert.deepEqual(
    answers.map((answer) => [answer.statusCode, answer.json().code, answer.headers['www-authenticate']]),
    [
      [401, 'KEELSON_UNAUTHENTICATED', 'Bearer'],
      [401, 'KEELSON_UNAUTHENTICATED', 'Bearer error="invalid_token"'],
      [403, 'KEELSON_FORBIDDEN', 'Bearer error="insufficient_scope", scope="admin"'],
    ],
  )
})

test('without the demand, a route that says nothing stays as it was', async () => {
  const app = await appWith()
  app.get('/old', ok)
  assert.equal((await app.inject('/old')).statusCode, 200)
})

test('a policy that makes no sense is refused at boot, by the name of its route', async () => {
  const bad: readonly (readonly [unknown, RegExp])[] = [
    [true, /GET \/x: `auth` must be false, 'any' or \{ scopes.*got true/],
    [null, /`auth` must be/],
    ['required', /`auth` must be.*got required/],
    [['users:read'], /auth/],
    [{}, /`auth.scopes` must be a list/],
    [{ scopes: [] }, /`auth.scopes` must not be empty/],
    [{ scopes: 'users:read' }, /`auth.scopes` must be a list/],
    [{ scopes: ['a b'] }, /without spaces.*got a b/],
    [{ scopes: ['a"b'] }, /without spaces/],
    [{ scopes: [1] }, /without spaces/],
    [{ scopes: ['a'], apiKey: true }, /`auth.apiKey` is not an option/],
  ]
  for (const [policy, message] of bad) {
    const app = await appWith()
    const route: RouteOptions = { method: 'GET', url: '/x', handler: ok, auth: policy as never }
    assert.throws(() => app.route(route), { code: 'KEELSON_CONFIG_INVALID', message }, String(policy))
    assert.throws(() => app.policy({ auth: policy as never }), { code: 'KEELSON_CONFIG_INVALID' })
  }
})

test('contradictions are refused at boot', async () => {
  const app = await appWith()
  const config = { keelson: { auth: false } } as object
  assert.throws(() => app.get('/x', { auth: 'any', config }, ok), { message: /GET \/x: `auth` must not say two things/ })

  const late = await appWith()
  late.get('/first', ok)
  assert.throws(() => late.policy({ auth: 'any' }), { message: /must be set before the routes of its scope \(GET \/first\)/ })

  const twice = await appWith()
  twice.policy({ auth: 'any' })
  assert.throws(() => twice.policy({ auth: false }), { message: /is set already/ })
})

test('the plugin refuses options it does not have', async () => {
  const register = async (options: object) => fastify().register(auth, options as AuthOptions)
  await assert.rejects(register({ verifier, apiKeys: {} }), {
    code: 'KEELSON_CONFIG_INVALID',
    message: /`apiKeys` is not available/,
  })
  await assert.rejects(register({ verifier, demand: true }), {
    code: 'KEELSON_CONFIG_INVALID',
    message: /`demand` is not an option/,
  })
  await assert.rejects(register({}), { code: 'KEELSON_CONFIG_INVALID', message: /`verifier` must come from createVerifier/ })
})
