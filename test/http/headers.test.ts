import assert from 'node:assert/strict'
import { test } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import { API_HEADERS, headers, vary, type HeadersOptions } from '../../src/http/headers/index.ts'

async function appWith(options: Partial<HeadersOptions> = {}, trustProxy: string | false = false): Promise<FastifyInstance> {
  const app = Fastify({ trustProxy })
  await app.register(headers, options)
  app.get('/', async () => ({}))
  app.get('/boom', async () => {
    throw new Error('boom')
  })
  app.get('/cached', async (_request, reply) => {
    vary(reply, 'Authorization')
    vary(reply, 'accept')
    return reply.header('cache-control', 'private, max-age=60').send({})
  })
  return app
}

test('every reply has every header, whatever its status', async () => {
  await using app = await appWith()
  for (const url of ['/', '/boom', '/nope']) {
    const reply = await app.inject(url)
    for (const [name, value] of Object.entries(API_HEADERS)) assert.equal(reply.headers[name], value, `${url} ${name}`)
    assert.equal(reply.headers['server'] ?? reply.headers['x-powered-by'], undefined)
  }
})

test('a reply may be kept if its route says so, and what it depends on adds up', async () => {
  await using app = await appWith()
  const reply = await app.inject('/cached')
  assert.equal(reply.headers['cache-control'], 'private, max-age=60')
  assert.equal(reply.headers['vary'], 'Accept, Accept-Encoding, Authorization')
})

test('HSTS is sent over TLS alone, and the word of a trusted proxy counts', async () => {
  const forwarded = { 'x-forwarded-proto': 'https' }
  await using distrusting = await appWith()
  assert.equal((await distrusting.inject({ url: '/', headers: forwarded })).headers['strict-transport-security'], undefined)
  await using trusting = await appWith({}, '127.0.0.1')
  assert.equal((await trusting.inject('/')).headers['strict-transport-security'], undefined)
  const reply = await trusting.inject({ url: '/', headers: forwarded })
  assert.equal(reply.headers['strict-transport-security'], 'max-age=31536000; includeSubDomains')
})

test('headers may be added, and set otherwise', async () => {
  await using app = await appWith({ extra: { 'permissions-policy': 'camera=()', 'x-frame-options': 'SAMEORIGIN' } })
  const reply = await app.inject('/')
  assert.equal(reply.headers['permissions-policy'], 'camera=()')
  assert.equal(reply.headers['x-frame-options'], 'SAMEORIGIN')
})

test('the table cannot be changed', () => {
  assert.ok(Object.isFrozen(API_HEADERS))
})
