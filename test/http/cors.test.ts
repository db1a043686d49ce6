import assert from 'node:assert/strict'
import { test } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import { cors, type CorsOptions } from '../../src/http/cors/index.ts'
import { errors } from '../../src/http/errors/index.ts'
import { headers } from '../../src/http/headers/index.ts'

const OURS = 'https://app.example'
const PREFLIGHT = { origin: OURS, 'access-control-request-method': 'PATCH', 'access-control-request-headers': 'content-type' }

async function appWith(options: Partial<CorsOptions>): Promise<FastifyInstance & AsyncDisposable> {
  const app = Fastify()
  await app.register(errors)
  await app.register(headers)
  await app.register(cors, options)
  app.addHook('onRequest', async (request) => {
    if (request.method !== 'GET') throw new Error('authentication comes after CORS')
  })
  app.get('/', async () => ({}))
  app.patch('/', async () => ({}))
  return app
}

test('a listed origin may read the answer', async () => {
  await using app = await appWith({ origins: [OURS] })
  const reply = await app.inject({ url: '/', headers: { origin: OURS } })
  assert.equal(reply.headers['access-control-allow-origin'], OURS)
  assert.equal(reply.headers['access-control-allow-credentials'], undefined)
  assert.match(String(reply.headers['access-control-expose-headers']), /etag/)
  assert.equal(reply.headers['vary'], 'Accept, Accept-Encoding, Origin')
})

test('a preflight is answered before authentication, and may be remembered for ten minutes', async () => {
  await using app = await appWith({ origins: [OURS] })
  const reply = await app.inject({ method: 'OPTIONS', url: '/', headers: PREFLIGHT })
  assert.equal(reply.statusCode, 204)
  assert.equal(reply.headers['access-control-allow-origin'], OURS)
  assert.match(String(reply.headers['access-control-allow-methods']), /PATCH/)
  assert.match(String(reply.headers['access-control-allow-headers']), /authorization/)
  assert.equal(reply.headers['access-control-max-age'], '600')
})

const STRANGERS = [
  'https://evil.example',
  'null',
  'http://app.example',
  'https://app.example:8443',
  'https://app.example.evil.example',
  'https://evilapp.example',
  'https://APP.example',
  'https://app.example/',
  '*',
  '',
]

for (const origin of STRANGERS) {
  test(`the origin ${JSON.stringify(origin)} is told nothing, but Vary is there`, async () => {
    await using app = await appWith({ origins: [OURS, 'https://other.example'], credentials: true })
    const reply = await app.inject({ url: '/', headers: { origin } })
    const told = Object.keys(reply.headers).filter((name) => name.startsWith('access-control-'))
    assert.deepEqual(told, [])
    assert.match(String(reply.headers['vary']), /Origin/)
  })
}

test('the preflight of a stranger gets no permission', async () => {
  await using app = await appWith({ origins: [OURS] })
  const reply = await app.inject({ method: 'OPTIONS', url: '/', headers: { ...PREFLIGHT, origin: 'https://evil.example' } })
  assert.deepEqual(
    Object.keys(reply.headers).filter((name) => name.startsWith('access-control-')),
    [],
  )
})

test('a request without Origin also varies by it', async () => {
  await using app = await appWith({ origins: [OURS] })
  assert.match(String((await app.inject('/')).headers['vary']), /Origin/)
})

test('without listed origins there is no CORS at all', async () => {
  await using app = await appWith({})
  const reply = await app.inject({ url: '/', headers: { origin: OURS } })
  assert.equal(reply.headers['access-control-allow-origin'], undefined)
  assert.doesNotMatch(String(reply.headers['vary']), /Origin/)
})

test('OPTIONS that is no preflight says which methods there are', async () => {
  await using app = Fastify()
  await app.register(errors)
  await app.register(cors, { origins: [OURS] })
  app.get('/', async () => ({}))
  for (const headersOf of [{}, { origin: OURS }]) {
    const reply = await app.inject({ method: 'OPTIONS', url: '/', headers: headersOf })
    assert.equal(reply.statusCode, 204, reply.body)
    assert.equal(reply.headers['allow'], 'GET, HEAD, OPTIONS')
  }
  assert.equal((await app.inject({ method: 'OPTIONS', url: '/nope' })).statusCode, 404)
  assert.equal((await app.inject({ method: 'POST', url: '/nope' })).statusCode, 404)
})

test('credentials are allowed where that was asked for', async () => {
  await using app = await appWith({ origins: [OURS], credentials: true })
  const reply = await app.inject({ url: '/', headers: { origin: OURS } })
  assert.equal(reply.headers['access-control-allow-credentials'], 'true')
})

for (const origin of [
  '*',
  'null',
  'app.example',
  'https://app.example/',
  'https://app.example/path',
  'https://u:p@app.example',
  'HTTPS://app.example',
  'https://app.example:443',
  'file:///x',
  'https://*.example',
  7,
]) {
  test(`${JSON.stringify(origin)} is refused as an origin at boot`, async () => {
    const app = Fastify()
    await assert.rejects(async () => app.register(cors, { origins: [origin as string] }), /`origins` has/)
    await app.close()
  })
}
