import assert from 'node:assert/strict'
import { test } from 'node:test'
import fastify, { type LightMyRequestResponse } from 'fastify'
import fc from 'fast-check'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { errors } from '../../src/http/errors/index.ts'
import {
  createCursorCodec,
  linkNext,
  MAX_CURSOR_LENGTH,
  pageOf,
  pageQuery,
  type CursorScope,
  type CursorValue,
} from '../../src/http/pagination/index.ts'
import { ManualClock } from '../../src/testing/index.ts'

const SECRET = 'a secret of exactly thirty-two b'
const list: CursorScope = { order: [{ column: 'created_at', direction: 'desc' }, { column: 'id' }], filter: { tenant: 't1' } }
const values = ['2026-01-01 00:00:00.123456+00', 7]
const invalid = { code: 'KEELSON_CURSOR_INVALID', kind: 'invalid' }
const codec = createCursorCodec({ secret: SECRET, clock: new ManualClock() })

test('what goes into a cursor comes out of it', () => {
  const value = fc.oneof(
    fc.string({ maxLength: 40, unit: 'grapheme' }),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0),
  )
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 1, maxLength: 4 }),
      fc.dictionary(fc.string(), fc.string()),
      (keys: CursorValue[], filter) => {
        const scope = { order: keys.map((_, i) => ({ column: `c${i}` })), filter }
        const text = codec.encode({ ...scope, values: keys })
        assert.match(text, /^[\w-]+$/)
        assert.deepEqual(codec.decode(text, scope), JSON.parse(JSON.stringify(keys)))
      },
    ),
  )
})

test('a cursor with any one bit flipped is refused', () => {
  const text = codec.encode({ ...list, values })
  const bytes = Buffer.from(text, 'base64url')
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    assert.throws(() => codec.decode(flipped.toString('base64url'), list), invalid, `bit ${bit}`)
  }
})

test('a cursor with any one character exchanged, taken out or added is refused', () => {
  const text = codec.encode({ ...list, values })
  const altered = fc.oneof(
    fc
      .tuple(fc.nat(text.length - 1), fc.constantFrom('A', 'z', '0', '-', '_', '+', '/', '=', '.', ' '))
      .map(([i, c]) => text.slice(0, i) + c + text.slice(i + 1)),
    fc.nat(text.length - 1).map((i) => text.slice(0, i)),
    fc
      .tuple(fc.nat(text.length), fc.string({ minLength: 1, maxLength: 3 }))
      .map(([i, s]) => text.slice(0, i) + s + text.slice(i)),
  )
  fc.assert(
    fc.property(
      altered.filter((other) => other !== text),
      (other) => assert.throws(() => codec.decode(other, list), invalid),
    ),
    { numRuns: 1_000 },
  )
})

test('any other text is refused, and the problem says where', () => {
  const foreign = [
    '',
    'x',
    'null',
    '{}',
    '0',
    'AAAA',
    'A'.repeat(24),
    'A'.repeat(MAX_CURSOR_LENGTH + 1),
    "' or 1=1 --",
    '../../etc/passwd',
    '\0',
    '💥',
  ]
  for (const text of foreign) {
    assert.throws(
      () => codec.decode(text, list),
      (error: Error & { code: string; problems: { pointer: string }[]; statusCode: number }) =>
        error.code === 'KEELSON_CURSOR_INVALID' && error.problems[0]?.pointer === '/query/cursor' && error.statusCode === 400,
    )
  }
})

test('a cursor is good for its own order and filter only', () => {
  const text = codec.encode({ ...list, values })
  const others: readonly CursorScope[] = [
    { ...list, filter: {} },
    { order: list.order },
    { ...list, filter: { tenant: 't2' } },
    { ...list, filter: { tenant: 't1', role: 'admin' } },
    { ...list, order: [{ column: 'created_at' }, { column: 'id' }] },
    { ...list, order: [{ column: 'id' }, { column: 'created_at', direction: 'desc' }] },
    { ...list, order: [{ column: 'created_at', direction: 'desc' }] },
  ]
  for (const scope of others) assert.throws(() => codec.decode(text, scope), invalid)
  const same = {
    order: [
      { column: 'created_at', direction: 'desc' },
      { column: 'id', direction: 'asc' },
    ],
    filter: { role: undefined, tenant: 't1' },
  }
  assert.deepEqual(codec.decode(text, same as CursorScope), values)
})

test('after a change of secrets, cursors of the former one are still good, until it is taken away', () => {
  const text = codec.encode({ ...list, values })
  const next = 'the next secret, of 32 bytes or so'
  const rotated = createCursorCodec({ secret: next, previousSecrets: ['a third secret, of 32 bytes or more', SECRET] })
  assert.deepEqual(rotated.decode(text, list), values)
  assert.notEqual(rotated.encode({ ...list, values }), text)
  assert.throws(() => createCursorCodec({ secret: next }).decode(text, list), invalid)
  assert.deepEqual(createCursorCodec({ secret: Buffer.from(SECRET) }).decode(text, list), values)
})

test('a cursor ends with its age, if it has one', async () => {
  const clock = new ManualClock()
  const short = createCursorCodec({ secret: SECRET, maxAgeMs: 60_000, clock })
  const text = short.encode({ ...list, values })
  await clock.advance(60_000)
  assert.deepEqual(short.decode(text, list), values)
  await clock.advance(1)
  assert.throws(() => short.decode(text, list), invalid)
})

test('mistakes of the service are no bad cursors', () => {
  assert.throws(() => codec.encode({ ...list, values: ['only one'] }), TypeError)
  assert.throws(() => codec.encode({ ...list, values: [new Date() as never, 1] }), TypeError)
  assert.throws(() => codec.encode({ ...list, values: ['a', NaN] }), TypeError)
  assert.throws(() => codec.encode({ ...list, values: ['x'.repeat(1_000), 1] }), TypeError)
  assert.throws(() => createCursorCodec({ secret: 'short' }), {
    code: 'KEELSON_CONFIG_INVALID',
    message: /at least 32 bytes, got \(hidden\)/,
  })
  assert.throws(() => createCursorCodec({ secret: SECRET, previousSecrets: [''] }), { code: 'KEELSON_CONFIG_INVALID' })
  assert.throws(() => createCursorCodec({ secret: SECRET, maxAgeMs: 0 }), {
    code: 'KEELSON_CONFIG_INVALID',
    message: /`maxAgeMs`/,
  })
  assert.throws(() => createCursorCodec({ secret: SECRET, ttl: 1 } as never), {
    code: 'KEELSON_CONFIG_INVALID',
    message: /`ttl`/,
  })
  assert.throws(() => pageQuery({ maxLimit: 0 }), { code: 'KEELSON_CONFIG_INVALID' })
  assert.throws(() => pageQuery({ maxLimit: 10, defaultLimit: 11 }), { code: 'KEELSON_CONFIG_INVALID' })
})

async function listing() {
  const app = fastify().withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler)
  await app.register(errors)
  const schema = { querystring: pageQuery(), response: { 200: pageOf(z.object({ id: z.int() })) } }
  app.get('/things', { schema }, async (request, reply) => {
    const { limit, cursor } = request.query
    const after = cursor === undefined ? 0 : Number(codec.decode(cursor, { order: [{ column: 'id' }] })[0])
    const items = Array.from({ length: Math.min(limit, 50 - after) }, (_, i) => ({ id: after + i + 1, hidden: true }))
    const last = items.at(-1)?.id ?? 50
    const nextCursor = last < 50 ? codec.encode({ order: [{ column: 'id' }], values: [last] }) : null
    if (nextCursor !== null) reply.header('link', linkNext(request, nextCursor))
    return { items, nextCursor }
  })
  return app
}

test('a list is read to its end by following the Link header', async () => {
  const app = await listing()
  const seen: number[] = []
  for (let url: string | undefined = '/things'; url;) {
    const response: LightMyRequestResponse = await app.inject(url)
    assert.equal(response.statusCode, 200, response.body)
    assert.deepEqual(Object.keys(response.json().items[0]), ['id'])
    seen.push(...response.json().items.map(({ id }: { id: number }) => id))
    url = /^<([^>]+)>; rel="next"$/.exec(String(response.headers['link'] ?? ''))?.[1]
    assert.equal(url === undefined, response.json().nextCursor === null)
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 50 }, (_, i) => i + 1),
  )
})

test('a limit that is no whole number from 1 to the maximum is a 400', async () => {
  const app = await listing()
  const bad = [
    '0',
    '-1',
    '101',
    '1000000',
    '1e9',
    '1e1',
    'NaN',
    'Infinity',
    '1.5',
    '1.0',
    '0x10',
    '%2B5',
    '%205',
    '05',
    '',
    'ten',
    '5&limit=6',
    '9'.repeat(400),
    '５',
  ]
  for (const limit of bad) {
    const response = await app.inject(`/things?limit=${encodeURI(decodeURI(limit))}`)
    assert.equal(response.statusCode, 400, limit)
  }
  for (const limit of ['1', '100'])
    assert.equal((await app.inject(`/things?limit=${limit}`)).json().items.length, Math.min(50, Number(limit)))
})

test('a bad cursor and an unknown name are a 400', async () => {
  const app = await listing()
  for (const query of ['cursor=', 'cursor=abc', `cursor=${'a'.repeat(2_000)}`, 'cursor=a&cursor=b', 'offset=5']) {
    assert.equal((await app.inject(`/things?${query}`)).statusCode, 400, query)
  }
  const { errors: problems, code } = (await app.inject('/things?cursor=abc')).json()
  assert.deepEqual([code, problems[0].pointer], ['KEELSON_CURSOR_INVALID', '/query/cursor'])
})

test('the query is described as a number within its bounds', () => {
  const { properties, additionalProperties } = z.toJSONSchema(pageQuery({ maxLimit: 50 }), { io: 'input' })
  assert.deepEqual(properties?.['limit'], { type: 'integer', minimum: 1, maximum: 50, default: 20 })
  assert.equal(additionalProperties, false)
})

test('the link keeps path and query, and leads nowhere else', () => {
  const next = (originalUrl: string) => linkNext({ originalUrl }, 'C')
  assert.equal(next('/a/things?limit=5&cursor=B&q=a%20b'), '</a/things?limit=5&cursor=C&q=a+b>; rel="next"')
  assert.equal(next('/things'), '</things?cursor=C>; rel="next"')
  assert.equal(next('/things?q=a?b'), '</things?q=a%3Fb&cursor=C>; rel="next"')
  assert.equal(next('//evil.example/things'), '</evil.example/things?cursor=C>; rel="next"')
  assert.equal(next('/\\evil.example/things'), '</evil.example/things?cursor=C>; rel="next"')
  assert.equal(next('http://evil.example/things?limit=1'), '</things?limit=1&cursor=C>; rel="next"')
  assert.equal(next('/x>;rel="a",<y?z=>,<"'), '</x%3E;rel=%22a%22,%3Cy?z=%3E%2C%3C%22&cursor=C>; rel="next"')
  assert.equal(next('/%41%2f?a=\r\nx'), '</%41%2f?a=%0D%0Ax&cursor=C>; rel="next"')
})
