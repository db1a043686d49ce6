import assert from 'node:assert/strict'
import { test } from 'node:test'
import Fastify, { type FastifyInstance, type InjectOptions, type LightMyRequestResponse } from 'fastify'
import { z } from 'zod'
import type { FieldProblem } from '../../src/core/errors.ts'
import { errors, type Problem } from '../../src/http/errors/index.ts'
import { createNegotiation, input, type InputOptions } from '../../src/http/input/index.ts'
import type { LogLine } from './border-harness.ts'

interface App extends AsyncDisposable {
  readonly app: FastifyInstance
  readonly log: LogLine[]
}

async function appWith(routes: (app: FastifyInstance) => unknown, options: Partial<InputOptions> = {}): Promise<App> {
  const log: LogLine[] = []
  const app = Fastify({
    logger: { level: 'error', stream: { write: (line: string) => void log.push(JSON.parse(line) as LogLine) } },
  })
  await app.register(errors)
  await app.register(input, options)
  await routes(app)
  return { app, log, [Symbol.asyncDispose]: () => app.close() }
}

const problemsOf = (reply: LightMyRequestResponse): readonly FieldProblem[] => reply.json<Problem>().errors ?? []
const whereAndWhich = (reply: LightMyRequestResponse): string[] =>
  problemsOf(reply).map(({ pointer, code }) => `${pointer} ${code}`)

// The two kinds of schema for the same things. Every behaviour below holds for both.
const ADDRESS = { type: 'object', required: ['city'], properties: { city: { type: 'string' } }, additionalProperties: false }
const BODIES: Readonly<Record<string, object>> = {
  zod: z.strictObject({
    email: z.string().min(3),
    age: z.int().optional(),
    address: z.strictObject({ city: z.string() }).optional(),
  }),
  'JSON Schema': {
    type: 'object',
    required: ['email'],
    properties: { email: { type: 'string', minLength: 3 }, age: { type: 'integer' }, address: ADDRESS },
    additionalProperties: false,
  },
}

for (const [kind, body] of Object.entries(BODIES)) {
  const post = async (payload: unknown): Promise<LightMyRequestResponse> => {
    await using t = await appWith((app) => app.post('/', { schema: { body } }, async (request) => request.body))
    return await t.app.inject({ method: 'POST', url: '/', payload: payload as object })
  }

  test(`${kind}: a good body arrives as it was sent`, async () => {
    const reply = await post({ email: 'a@b', address: { city: 'x' } })
    assert.equal(reply.statusCode, 200, reply.body)
    assert.deepEqual(reply.json(), { email: 'a@b', address: { city: 'x' } })
  })

  test(`${kind}: an unknown member is refused where it stands`, async () => {
    assert.deepEqual(whereAndWhich(await post({ email: 'a@b', address: { city: 'x', 'z/p': 1 } })), [
      '/address/z~1p unrecognized_key',
    ])
  })

  test(`${kind}: a missing member is required by name`, async () => {
    assert.deepEqual(problemsOf(await post({})), [{ pointer: '/email', code: 'required', message: 'is required' }])
  })

  for (const wrong of ['12', true, null, [1], 1.5]) {
    test(`${kind}: ${JSON.stringify(wrong)} is not taken for an integer`, async () => {
      const reply = await post({ email: 'a@b', age: wrong })
      assert.equal(reply.statusCode, 400)
      assert.equal(reply.json<Problem>().code, 'KEELSON_VALIDATION_FAILED')
      assert.equal(problemsOf(reply)[0]?.pointer, '/age')
    })
  }

  test(`${kind}: a refused value is not repeated`, async () => {
    assert.doesNotMatch((await post({ email: 'x', age: 'hunter2' })).body, /hunter2/)
  })
}

test('zod: all wrong fields are named at once, fifty at most', async () => {
  await using t = await appWith((app) => {
    app.post('/two', { schema: { body: BODIES['zod'] as object } }, async () => 'ok')
    app.post('/list', { schema: { body: z.array(z.int()).max(200) } }, async () => 'ok')
  })
  const two = await t.app.inject({ method: 'POST', url: '/two', payload: { age: 'x', more: 1 } })
  assert.deepEqual(whereAndWhich(two).toSorted(), ['/age invalid_type', '/email required', '/more unrecognized_key'])
  const list = await t.app.inject({ method: 'POST', url: '/list', payload: Array(100).fill('x') })
  assert.equal(problemsOf(list).length, 50)
})

const QUERIES: Readonly<Record<string, object>> = {
  zod: z.object({
    limit: z.int().max(100).optional(),
    ratio: z.coerce.number().optional(),
    deep: z.coerce.boolean().optional(),
    q: z.coerce.string().optional(),
    tag: z.array(z.string()).optional(),
    id: z.array(z.int()).optional(),
    order: z.enum(['up', 'down']).nullable().optional(),
    either: z.union([z.int(), z.literal('all')]).optional(),
  }),
  'JSON Schema': {
    type: 'object',
    properties: {
      limit: { type: 'integer', maximum: 100 },
      ratio: { type: 'number' },
      deep: { type: 'boolean' },
      q: { type: 'string' },
      tag: { type: 'array', items: { type: 'string' } },
      id: { type: 'array', items: { $ref: '#/definitions/id' } },
      order: { enum: ['up', 'down'] },
      either: { anyOf: [{ type: 'integer' }, { const: 'all' }] },
    },
    definitions: { id: { type: 'integer' } },
  },
}

const READ: readonly (readonly [string, unknown])[] = [
  ['limit=5', { limit: 5 }],
  ['limit=-0', { limit: -0 }],
  ['ratio=1.5e3', { ratio: 1500 }],
  ['deep=false', { deep: false }],
  ['deep=true', { deep: true }],
  ['q=5', { q: '5' }],
  ['q=', { q: '' }],
  ['tag=a', { tag: ['a'] }],
  ['tag=a&tag=b', { tag: ['a', 'b'] }],
  ['id=1&id=2', { id: [1, 2] }],
  ['order=up', { order: 'up' }],
  ['either=all', { either: 'all' }],
]

const MISREAD: readonly (readonly [string, string])[] = [
  ['limit=', '/query/limit invalid_type'],
  ['limit=0x10', '/query/limit invalid_type'],
  ['limit=%205', '/query/limit invalid_type'],
  ['limit=05', '/query/limit invalid_type'],
  ['limit=1e999', '/query/limit invalid_type'],
  ['limit=Infinity', '/query/limit invalid_type'],
  ['limit=1&limit=2', '/query/limit repeated'],
  ['ratio=', '/query/ratio invalid_type'],
  ['deep=0', '/query/deep invalid_type'],
  ['deep=', '/query/deep invalid_type'],
  ['deep=true&deep=true', '/query/deep repeated'],
  ['q=a&q=b', '/query/q repeated'],
  ['id=1&id=x', '/query/id invalid_type'],
  ['order=up&order=down', '/query/order repeated'],
]

for (const [kind, querystring] of Object.entries(QUERIES)) {
  const get = async (query: string): Promise<LightMyRequestResponse> => {
    await using t = await appWith((app) => app.get('/', { schema: { querystring } }, async (request) => request.query))
    return await t.app.inject(`/?${query}`)
  }
  for (const [query, expected] of READ) {
    test(`${kind}: ?${query} is read as declared`, async () => {
      const reply = await get(query)
      assert.equal(reply.statusCode, 200, reply.body)
      assert.deepEqual(reply.json(), JSON.parse(JSON.stringify(expected)))
    })
  }
  for (const [query, problem] of MISREAD) {
    test(`${kind}: ?${query} is refused`, async () => {
      const reply = await get(query)
      assert.equal(reply.statusCode, 400)
      assert.equal(whereAndWhich(reply)[0], problem)
    })
  }
  test(`${kind}: a number that was read is validated as one`, async () => {
    assert.equal(problemsOf(await get('limit=101'))[0]?.pointer, '/query/limit')
  })
}

test('parameters and headers are read as declared, too', async () => {
  await using t = await appWith((app) =>
    app.get(
      '/:id',
      { schema: { params: z.strictObject({ id: z.int() }), headers: z.object({ 'x-count': z.int().optional() }) } },
      async (request) => ({ ...(request.params as object), count: request.headers['x-count'] }),
    ),
  )
  const reply = await t.app.inject({ url: '/7', headers: { 'x-count': '3' } })
  assert.deepEqual(reply.json(), { id: 7, count: 3 })
  assert.deepEqual(whereAndWhich(await t.app.inject('/seven')), ['/params/id invalid_type'])
  assert.deepEqual(whereAndWhich(await t.app.inject({ url: '/7', headers: { 'x-count': 'x' } })), [
    '/headers/x-count invalid_type',
  ])
})

test('what goes into z.preprocess arrives as it was sent', async () => {
  const querystring = z.object({ ids: z.preprocess((value) => String(value).split(','), z.array(z.string())) })
  await using t = await appWith((app) => app.get('/', { schema: { querystring } }, async (request) => request.query))
  assert.deepEqual((await t.app.inject('/?ids=a,b')).json(), { ids: ['a', 'b'] })
})

test('schemas of the app can be referred to', async () => {
  await using t = await appWith((app) => {
    app.addSchema({ $id: 'page', type: 'object', properties: { limit: { type: 'integer' } } })
    app.addSchema({ $id: 'thing', ...ADDRESS })
    app.get('/', { schema: { querystring: { $ref: 'page#' } } }, async (request) => request.query)
    app.post('/', { schema: { body: { $ref: 'thing#' } } }, async (request) => request.body)
  })
  assert.deepEqual((await t.app.inject('/?limit=3')).json(), { limit: 3 })
  assert.equal((await t.app.inject({ method: 'POST', url: '/', payload: { city: 'x' } })).statusCode, 200)
  assert.equal((await t.app.inject({ method: 'POST', url: '/', payload: { city: 'x', more: 1 } })).statusCode, 400)
})

// Answers.

test('an answer loses what its schema does not name', async () => {
  await using t = await appWith((app) => {
    const user = { id: 1, passwordHash: 's3cret' }
    app.get('/zod', { schema: { response: { 200: z.object({ id: z.number() }) } } }, async () => user)
    app.get(
      '/json',
      { schema: { response: { 200: { type: 'object', properties: { id: { type: 'integer' } } } } } },
      async () => user,
    )
  })
  for (const url of ['/zod', '/json']) assert.equal((await t.app.inject(url)).body, '{"id":1}')
})

test('an answer that does not match its schema is a 500, and the log says where', async () => {
  await using t = await appWith((app) => {
    const response = { 200: z.object({ id: z.number() }) }
    app.get('/', { schema: { response } }, async () => ({ id: 'x' }) as never)
    app.get('/null', { schema: { response } }, async () => null as never)
    app.get('/nullable', { schema: { response: { 200: z.object({}).nullable() } } }, async () => null)
  })
  assert.equal((await t.app.inject('/')).statusCode, 500)
  assert.match(t.log[0]?.err?.message ?? '', /GET \/: the answer does not match its schema/)
  assert.match(t.log[0]?.err?.stack ?? '', /invalid_type/)
  assert.equal((await t.app.inject('/null')).statusCode, 500)
  assert.equal((await t.app.inject('/nullable')).body, 'null')
})

test('dates are sent as text', async () => {
  await using t = await appWith((app) =>
    app.get('/', { schema: { response: { 200: z.object({ at: z.date() }) } } }, async () => ({ at: new Date(0) })),
  )
  assert.equal((await t.app.inject('/')).body, '{"at":"1970-01-01T00:00:00.000Z"}')
})

// At boot.

const open = z.object({ city: z.string() })
const LAX: readonly (readonly [string, object, string])[] = [
  ['an object', open, 'body: an object'],
  ['a loose object', z.looseObject({}), 'body: an object'],
  ['an object within', z.strictObject({ a: open }), 'body at /properties/a: an object'],
  ['an optional one', z.strictObject({ a: open.optional() }), 'body at /properties/a'],
  ['a nullable one', z.strictObject({ a: open.nullable() }), 'body at /properties/a/anyOf/0'],
  ['one in an array', z.array(open), 'body at /items'],
  ['one in a union', z.union([z.string(), open]), 'body at /anyOf/1'],
  ['one in a map', z.record(z.string(), open), 'body at /additionalProperties'],
  ['one behind a transform', z.strictObject({ a: open.transform(String) }), 'body at /properties/a'],
  ['one in a tuple', z.tuple([open]), 'body at /prefixItems/0'],
  ['JSON Schema', { type: 'object', properties: {} }, 'body: an object'],
  ['JSON Schema that says so', { type: 'object', additionalProperties: true }, 'body: an object'],
  ['JSON Schema without type', { properties: { a: {} } }, 'body: an object'],
  ['JSON Schema in a list of types', { type: ['object', 'null'] }, 'body: an object'],
  ['JSON Schema in a definition', { $ref: '#/definitions/a', definitions: { a: { type: 'object' } } }, 'body: an object'],
  ['one media type', { content: { 'application/json': { schema: open } } }, 'body (application/json): an object'],
]

for (const [what, body, words] of LAX) {
  test(`a body that accepts unknown names does not boot: ${what}`, async () => {
    await assert.rejects(
      appWith((app) => app.post('/things', { schema: { body } }, async () => 'ok')),
      (error: Error) => {
        assert.equal((error as Error & { code: string }).code, 'KEELSON_SCHEMA_REFUSED')
        assert.ok(error.message.startsWith(`POST /things: ${words}`), error.message)
        return true
      },
    )
  })
}

const TREE: z.ZodType = z.strictObject({
  name: z.string(),
  get children() {
    return z.array(TREE).max(10)
  },
})
const STRICT: readonly (readonly [string, object])[] = [
  ['a map of checked values', z.record(z.string(), z.number())],
  ['a map of anything, said outright', z.record(z.string(), z.unknown())],
  ['anything, said outright', z.unknown()],
  ['an object whose other members are checked', z.object({}).catchall(z.string())],
  ['a schema that contains itself', TREE],
  ['a tagged union', z.discriminatedUnion('k', [z.strictObject({ k: z.literal('a') }), z.strictObject({ k: z.literal('b') })])],
  [
    'Zod formats with patterns',
    z.strictObject({
      a: z.email(),
      b: z.uuid(),
      c: z.base64(),
      d: z.iso.datetime(),
      e: z.ipv6(),
      f: z.cidrv4(),
      g: z.url(),
      h: z.jwt(),
      i: z.e164(),
      j: z.emoji(),
      k: z.hostname(),
    }),
  ],
  [
    'branches of a closed object',
    {
      type: 'object',
      additionalProperties: false,
      properties: { a: {}, b: {} },
      anyOf: [
        { type: 'object', required: ['a'] },
        { type: 'object', required: ['b'] },
      ],
    },
  ],
]

for (const [what, body] of STRICT) {
  test(`a strict body boots: ${what}`, async () => {
    await using t = await appWith((app) => app.post('/', { schema: { body } }, async () => 'ok'))
    await t.app.ready()
  })
}

const UNREPRESENTABLE: readonly (readonly [string, z.ZodType, string])[] = [
  ['bigint', z.bigint(), 'body at /properties/a/items/properties/b'],
  ['date', z.date(), 'body at'],
  ['map', z.map(z.string(), z.string()), 'body at'],
  ['set', z.set(z.string()), 'body at'],
  ['custom', z.custom<string>(), 'body at'],
  ['instanceof', z.instanceof(URL), 'body at'],
  ['symbol', z.symbol(), 'body at'],
  ['nan', z.nan(), 'body at'],
  ['undefined', z.undefined(), 'body at'],
  ['void', z.void(), 'body at'],
  ['a literal bigint', z.literal(1n), 'body at'],
  ['function', z.function() as unknown as z.ZodType, 'body at'],
  ['transform', z.transform(String) as unknown as z.ZodType, 'body at'],
]

for (const [what, schema, words] of UNREPRESENTABLE) {
  test(`a Zod schema without JSON Schema does not boot: ${what}`, async () => {
    const body = z.strictObject({ a: z.array(z.strictObject({ b: schema })) })
    assert.throws(() => z.toJSONSchema(body, { io: 'input' }), 'Zod agrees')
    await assert.rejects(
      appWith((app) => app.post('/', { schema: { body } }, async () => 'ok')),
      (error: Error) => {
        assert.ok(
          error.message.startsWith(`POST /: ${words}`) && error.message.includes('has no JSON Schema as input'),
          error.message,
        )
        return true
      },
    )
  })
}

test('an answer that only leaves through a transform does not boot, what only enters through one does', async () => {
  const upper = z.string().transform((text) => text.toUpperCase())
  await assert.rejects(
    appWith((app) => app.get('/', { schema: { response: { 200: z.object({ a: upper }) } } }, async () => ({ a: '' }))),
    /response 200 at \/properties\/a: has no JSON Schema as output/,
  )
  await using t = await appWith((app) =>
    app.post('/', { schema: { body: z.strictObject({ a: upper }) } }, async (request) => request.body),
  )
  assert.deepEqual((await t.app.inject({ method: 'POST', url: '/', payload: { a: 'x' } })).json(), { a: 'X' })
})

test('all mistakes of a route are told at once', async () => {
  const schema = { body: z.object({ a: open }), response: { 200: z.bigint() } }
  await assert.rejects(
    appWith((app) => app.post('/', { schema }, async () => 1n)),
    /body: an object.*; body at \/properties\/a: .*; response 200: /,
  )
})

const DANGEROUS: readonly (readonly [string, object])[] = [
  ['unique objects without limit', { type: 'array', uniqueItems: true, items: ADDRESS }],
  ['unique anything without limit', { type: 'array', uniqueItems: true }],
  ['(a+)+', { type: 'string', pattern: '^(a+)+$' }],
  ['([a-z]*)*', { type: 'string', pattern: '([a-z]*)*' }],
  ['(?:\\d+){2,}', { type: 'string', pattern: '(?:\\d+){2,}' }],
  ['(.*)+ in Zod', z.string().regex(/(.*)+x/)],
]

for (const [what, schema] of DANGEROUS) {
  test(`a schema that can stop the process does not boot: ${what}`, async () => {
    await assert.rejects(
      appWith((app) => app.post('/', { schema: { body: schema } }, async () => 'ok')),
      { code: 'KEELSON_SCHEMA_REFUSED' },
    )
  })
}

test('what is dear but bounded boots', async () => {
  await using t = await appWith((app) => {
    app.post('/a', { schema: { body: { type: 'array', uniqueItems: true, maxItems: 10, items: ADDRESS } } }, async () => 'ok')
    app.post('/b', { schema: { body: { type: 'array', uniqueItems: true, items: { type: 'string' } } } }, async () => 'ok')
    app.post('/c', { schema: { body: { type: 'string', pattern: '^(?:[a-z]+\\.)+[a-z]{2,}$' } } }, async () => 'ok')
  })
  await t.app.ready()
})

// Media types.

const CONTENT: readonly (readonly [string | undefined, string | undefined, number])[] = [
  ['application/json', '{}', 200],
  ['application/json; charset=utf-8', '{}', 200],
  ['Application/JSON;Charset="UTF-8"', '{}', 200],
  ['application/merge-patch+json', '{}', 200],
  ['application/vnd.api+json; ext=x', '{}', 200],
  [undefined, undefined, 200],
  ['application/json; charset=latin1', '{}', 415],
  ['application/json; charset=utf-16', '{}', 415],
  ['application/jsonp', '{}', 415],
  ['application/json5', '{}', 415],
  ['text/json', '{}', 415],
  ['text/plain', '{}', 415],
  ['application/json', '', 400],
]

for (const [type, payload, status] of CONTENT) {
  test(`a body ${JSON.stringify(payload)} of type ${String(type)} is a ${status}`, async () => {
    await using t = await appWith((app) => app.post('/', async () => 'ok'))
    const options: InjectOptions = { method: 'POST', url: '/', headers: type === undefined ? {} : { 'content-type': type } }
    assert.equal((await t.app.inject(payload === undefined ? options : { ...options, payload })).statusCode, status)
  })
}

test('limits of JSON are options', async () => {
  await using t = await appWith((app) => app.post('/', async () => 'ok'), { maxKeys: 1 })
  assert.equal((await t.app.inject({ method: 'POST', url: '/', payload: { a: 1, b: 2 } })).statusCode, 400)
  await assert.rejects(
    appWith(() => {}, { maxDepth: 0 }),
    /maxDepth/,
  )
})

const ACCEPT: readonly (readonly [string | undefined, boolean])[] = [
  [undefined, true],
  ['', true],
  ['*/*', true],
  ['application/json', true],
  ['application/json;charset=utf-8', true],
  ['APPLICATION/JSON', true],
  ['application/*', true],
  ['application/problem+json', true],
  ['application/json, text/plain, */*', true],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', true],
  ['text/html;q=0.9, application/*;q=0.1', true],
  ['application/xml', false],
  ['text/html, text/*', false],
  ['application/json;q=0', false],
  ['application/json;q=0, application/*', true],
  ['application/json;q=0, application/problem+json;q=0', false],
  ['application/json;q=0, application/problem+json;q=0, */*', false],
  ['*/*;q=0', false],
  ['*/*;q=0, application/json', true],
  ['application/*;q=0, */*', false],
  ['application/jsonx', false],
  [',,;;q=', false],
]

for (const [accept, expected] of ACCEPT) {
  test(`Accept: ${String(accept)} can${expected ? '' : 'not'} be answered in JSON`, () => {
    const accepts = createNegotiation(['application/json', 'application/problem+json'])
    assert.equal(accepts(accept), expected)
    assert.equal(accepts(accept), expected, 'the second time, from memory')
  })
}

test('a route that answers in other types says so, and unknown paths stay a 404', async () => {
  await using t = await appWith((app) => {
    app.get('/', async () => ({}))
    app.get('/csv', { config: { keelson: { produces: ['text/csv'] } } }, async () => 'a,b')
  })
  const status = async (url: string, accept: string): Promise<number> =>
    (await t.app.inject({ url, headers: { accept } })).statusCode
  assert.equal(await status('/csv', 'text/csv'), 200)
  assert.equal(await status('/csv', 'application/json'), 406)
  assert.equal(await status('/', 'text/csv'), 406)
  assert.equal(await status('/nope', 'text/csv'), 404)
})

test('many different Accept headers leave no memory behind', () => {
  const accepts = createNegotiation(['application/json'])
  for (let i = 0; i < 10_000; i++) assert.equal(accepts(`text/x${i}`), false)
})

test('the plugin works alone: an app with its own error handling gets a status to go by', async () => {
  await using app = Fastify()
  await app.register(input)
  app.post('/', { schema: { body: z.strictObject({ a: z.string() }) } }, async () => 'ok')
  const status = async (payload: string): Promise<number> =>
    (await app.inject({ method: 'POST', url: '/', payload, headers: { 'content-type': 'application/json' } })).statusCode
  assert.equal(await status('{"a":"x"}'), 200)
  assert.equal(await status('{"a":1}'), 400)
  assert.equal(await status('{"a":1,"a":2}'), 400)
})
