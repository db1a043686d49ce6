import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import fastify, { type FastifyInstance } from 'fastify'
import fc from 'fast-check'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { conditional, etagOf, preconditionFailed } from '../../src/http/conditional/index.ts'
import { errors } from '../../src/http/errors/index.ts'

interface Row {
  version: number
  name: string
}

/** How often a body was made from the row of the last service. */
let serialized = 0

/** One row that can be read, changed and replaced. */
async function service(row: Row | null = { version: 3, name: 'ada' }): Promise<FastifyInstance> {
  serialized = 0
  const app = fastify()
  await app.register(errors)
  await app.register(conditional)
  app.get('/row', async (_request, reply) => {
    if (!row) return reply.code(404).send({})
    return reply
      .etag(row.version)
      .header('cache-control', 'private')
      .send({ ...row, toJSON: () => (serialized++, row) })
  })
  app.get('/text', async (_request, reply) => reply.etag(3).send('some text'))
  app.get('/bytes', async (_request, reply) => reply.etag(3).send(Buffer.from('bytes')))
  app.get('/plain', async () => ({ no: 'tag' }))
  app.get('/weak', async (_request, reply) => reply.header('etag', 'W/"x y"'.replace(' ', '')).send({ a: 1 }))
  app.get('/failing', async (_request, reply) => {
    reply.etag(3)
    throw new Error('no')
  })
  app.patch('/row', async (request, reply) => {
    request.ifMatch().check(row?.version)
    return reply.etag(4).send({ version: 4 })
  })
  app.put('/row', async (request) => {
    request.ifMatch({ optional: true })?.check(row?.version)
    request.ifNoneMatch(row?.version)
    return { ok: true }
  })
  app.post('/rows', async (_request, reply) => reply.etag(1).created('/rows/1', { id: 1 }))
  return app
}

const get = (app: FastifyInstance, url: string, ifNoneMatch: string, method: 'GET' | 'HEAD' = 'GET') =>
  app.inject({ method, url, headers: { 'if-none-match': ifNoneMatch } })

test('a version makes one strong tag', () => {
  assert.equal(etagOf(0), '"v0"')
  assert.equal(etagOf(2_147_483_647), '"v2147483647"')
  for (const bad of [-1, 1.5, NaN, Infinity, 2_147_483_648, '1' as never, undefined as never])
    assert.throws(() => etagOf(bad), TypeError)
})

test('If-None-Match on GET: 304 where a tag is the same by the weak comparison, else the whole answer', async () => {
  const app = await service()
  const same = ['"v3"', 'W/"v3"', '*', '"v1", "v3"', '"v1","v3" ,\t"v9"', ', ,"v3",,', '"a,b", "v3"', '"",  "v3"']
  const other = ['"v2"', '"v33"', '"V3"', 'W/"v2"', '"v1", "v2"', '""', '"*"']
  const unreadable = ['v3', '"v3', "'v3'", 'w/"v3"', 'W/ "v3"', '"v3" "v4"', '*, "v3"', '"v3" x', '', ',', 'W/', '"v\x003"']
  for (const condition of same) {
    const response = await get(app, '/row', condition)
    assert.deepEqual([response.statusCode, response.body, response.headers.etag], [304, '', '"v3"'], condition)
  }
  assert.equal(serialized, 0)
  for (const condition of [...other, ...unreadable]) {
    const response = await get(app, '/row', condition)
    assert.deepEqual([response.statusCode, response.headers.etag], [200, '"v3"'], condition)
  }
  assert.equal(serialized, other.length + unreadable.length)
})

test('a 304 has what a cache needs, and nothing that describes a body', async () => {
  const { headers } = await get(await service(), '/row', '"v3"')
  assert.equal(headers['cache-control'], 'private')
  assert.equal(headers['content-type'] ?? headers['content-length'] ?? headers['transfer-encoding'], undefined)
})

test('HEAD is answered as GET is', async () => {
  const app = await service()
  const [whole, unchanged] = [await app.inject({ method: 'HEAD', url: '/row' }), await get(app, '/row', '"v3"', 'HEAD')]
  assert.deepEqual([whole.statusCode, unchanged.statusCode, unchanged.body, unchanged.headers.etag], [200, 304, '', '"v3"'])
  assert.equal(unchanged.headers['content-length'], whole.headers['content-length'])
})

test('text, bytes and streams are dropped too, and the stream is closed', async () => {
  const app = await service()
  const stream = Readable.from(['never read'])
  app.get('/stream', async (_request, reply) => reply.etag(3).type('text/plain').send(stream))
  for (const url of ['/text', '/bytes', '/stream']) {
    const response = await get(app, url, '"v3"')
    assert.deepEqual([response.statusCode, response.body, response.headers['content-type']], [304, '', undefined], url)
  }
  assert.ok(stream.destroyed)
  assert.equal((await get(app, '/text', '"v2"')).body, 'some text')
})

test('only a 200 with a tag becomes a 304', async () => {
  const app = await service(null)
  assert.equal((await get(app, '/plain', '*')).statusCode, 200)
  assert.equal((await get(app, '/plain', '"v3"')).statusCode, 200)
  assert.equal((await get(app, '/row', '*')).statusCode, 404)
  assert.equal((await get(app, '/failing', '"v3"')).statusCode, 500)
  assert.equal((await get(app, '/weak', '"xy"')).statusCode, 304)
})

/** RFC 9110 §13.1.1 for a row with version 3: a strong comparison. */
const IF_MATCH: Readonly<Record<string, number>> = {
  '"v3"': 200,
  '*': 200,
  '"v1", "v3"': 200,
  '"foreign", "v3"': 200,
  '\t"v3"': 200,
  '"v2"': 412,
  '"v1", "v2"': 412,
  'W/"v3"': 412,
  'W/"v3", "v2"': 412,
  '"foreign"': 412,
  '"3"': 412,
  '"v03"': 412,
  '"v3 "': 400,
  '"v+3"': 412,
  '"v3.0"': 412,
  '"v"': 412,
  '""': 412,
  '"v99999999999999999999"': 412,
  '"v2147483648"': 412,
  '"v3\' or 1=1"': 400,
  v3: 400,
  '3': 400,
  '"v3': 400,
  'w/"v3"': 400,
  '"v3" "v2"': 400,
  '"v3"; q=1': 400,
  '*, "v3"': 400,
  '**': 400,
  ',': 400,
}

for (const [condition, status] of Object.entries(IF_MATCH)) {
  test(`If-Match: ${condition} is a ${status}`, async () => {
    const app = await service()
    const response = await app.inject({ method: 'PATCH', url: '/row', headers: { 'if-match': condition }, payload: {} })
    assert.equal(response.statusCode, status, response.body)
    const code = { 200: undefined, 400: 'KEELSON_PRECONDITION_INVALID', 412: 'KEELSON_PRECONDITION_FAILED' }[status]
    assert.equal(response.json().code, code)
    if (status === 400) assert.equal(response.json().errors[0].pointer, '/headers/if-match')
  })
}

test('a change that names no version is a 428, unless the route makes it optional', async () => {
  const app = await service()
  const response = await app.inject({ method: 'PATCH', url: '/row', payload: {} })
  assert.deepEqual([response.statusCode, response.json().code], [428, 'KEELSON_PRECONDITION_REQUIRED'])
  assert.equal((await app.inject({ method: 'PUT', url: '/row' })).statusCode, 200)
  assert.equal((await app.inject({ method: 'PUT', url: '/row', headers: { 'if-match': '"v2"' } })).statusCode, 412)
})

test('what does not exist matches nothing, not even *', async () => {
  const app = await service(null)
  for (const condition of ['*', '"v3"']) {
    assert.equal(
      (await app.inject({ method: 'PATCH', url: '/row', headers: { 'if-match': condition }, payload: {} })).statusCode,
      412,
    )
  }
})

test('If-None-Match on a change: * creates only, a tag excludes its version', async () => {
  const put = async (row: Row | null, condition: string) =>
    (await (await service(row)).inject({ method: 'PUT', url: '/row', headers: { 'if-none-match': condition } })).statusCode
  const row = { version: 3, name: 'ada' }
  assert.deepEqual([await put(null, '*'), await put(row, '*')], [200, 412])
  assert.deepEqual(
    [await put(row, '"v3"'), await put(row, 'W/"v3"'), await put(row, '"v2"'), await put(null, '"v3"')],
    [412, 412, 200, 200],
  )
  assert.equal(await put(row, 'v3'), 400)
})

test('the expected versions can go into the statement', async () => {
  const app = fastify()
  await app.register(conditional)
  app.patch('/', async (request) => ({ versions: request.ifMatch().versions }))
  const versions = async (condition: string) =>
    (await app.inject({ method: 'PATCH', url: '/', headers: { 'if-match': condition } })).json().versions
  assert.deepEqual(await versions('"v3"'), [3])
  assert.deepEqual(await versions('"v3", W/"v4", "x", "v5"'), [3, 5])
  assert.equal(await versions('*'), null)
})

test('what was created is a 201 with its place, its tag and itself', async () => {
  const response = await (await service()).inject({ method: 'POST', url: '/rows' })
  const { location, etag } = response.headers
  assert.deepEqual([response.statusCode, location, etag, response.json()], [201, '/rows/1', '"v1"', { id: 1 }])
})

test('a handler that is typed by its response schema returns what `created` returns', async () => {
  const app = fastify().withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler)
  await app.register(conditional)
  app.post('/', { schema: { response: { 201: z.object({ id: z.int() }) } } }, async (_request, reply) => {
    return reply.etag(1).created('/1', { id: 1, secret: 'stays here' })
  })
  assert.deepEqual((await app.inject({ method: 'POST', url: '/' })).json(), { id: 1 })
})

test('without `keelson/http/errors`, Fastify itself answers with the right status', async () => {
  const app = fastify()
  await app.register(conditional)
  app.patch('/', async (request) => request.ifMatch().check(3))
  app.delete('/', async () => {
    throw preconditionFailed()
  })
  const patch = async (headers: Record<string, string>) => (await app.inject({ method: 'PATCH', url: '/', headers })).statusCode
  assert.deepEqual([await patch({}), await patch({ 'if-match': 'x' }), await patch({ 'if-match': '"v2"' })], [428, 400, 412])
  assert.equal((await app.inject({ method: 'DELETE', url: '/' })).statusCode, 412)
})

test('no header makes anything but a 200, 400 or 412 of it, nor takes long', async () => {
  const app = await service()
  const piece = fc.constantFrom('"v3"', 'W/', '"', ',', '*', ' ', '\t', 'v3', '\\', '"v2"', 'é')
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
      const headers = { 'if-match': pieces.join('') }
      const { statusCode } = await app.inject({ method: 'PATCH', url: '/row', headers, payload: {} })
      assert.ok([200, 400, 412].includes(statusCode), String(statusCode))
    }),
    { numRuns: 300 },
  )
  for (const long of [' '.repeat(16_000), ','.repeat(16_000), `"v1"${' '.repeat(16_000)}x`, '"v1",'.repeat(3_000)]) {
    const startedAt = process.hrtime.bigint()
    await get(app, '/row', long)
    assert.ok(process.hrtime.bigint() - startedAt < 1_000_000_000n)
  }
})
