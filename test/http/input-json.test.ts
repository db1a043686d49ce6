import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isKeelsonError } from '../../src/core/errors.ts'
import { JSON_LIMITS, parseJson, type JsonLimits } from '../../src/http/input/index.ts'

/** Small enough that generated texts get to the edges. */
const TIGHT: JsonLimits = { maxDepth: 4, maxKeys: 6, maxItems: 4, maxStringLength: 12 }

interface Refusal {
  readonly rule: string
  readonly pointer: string
  readonly message: string
}

function refusalOf(text: string | Buffer, limits?: JsonLimits): Refusal | undefined {
  try {
    parseJson(Buffer.from(text as string), limits)
    return undefined
  } catch (error) {
    assert.ok(isKeelsonError(error, 'KEELSON_JSON_INVALID'), String(error))
    const [problem] = error.problems
    assert.ok(problem)
    return { rule: problem.code, pointer: problem.pointer, message: problem.message }
  }
}

/**
 * The obvious way: a recursive descent over the text that knows every rule and thinks of no cost.
 * It shares nothing with the code under test but `JSON.parse`, for the syntax and for single tokens.
 */
function allows(text: string, limits: JsonLimits): boolean {
  try {
    JSON.parse(text)
  } catch {
    return false
  }
  const tokens = text.match(/"(?:\\.|[^"\\])*"|[{}[\]:,]|[^\s{}[\]:,"]+/g) ?? []
  const at = { index: 0, keys: 0 }
  return allowsValue(tokens, at, limits, 0) && at.keys <= limits.maxKeys
}

interface At {
  index: number
  keys: number
}

function allowsValue(tokens: readonly string[], at: At, limits: JsonLimits, depth: number): boolean {
  const token = tokens[at.index++] as string
  if (token === '{') return depth < limits.maxDepth && allowsObject(tokens, at, limits, depth + 1)
  if (token === '[') return depth < limits.maxDepth && allowsArray(tokens, at, limits, depth + 1)
  if (token.startsWith('"')) return allowsText(JSON.parse(token) as string, limits)
  return !/\d/.test(token) || Number.isFinite(Number(token))
}

function allowsObject(tokens: readonly string[], at: At, limits: JsonLimits, depth: number): boolean {
  const names: string[] = []
  while (tokens[at.index] !== '}') {
    if (tokens[at.index] === ',') at.index++
    const name = JSON.parse(tokens[at.index] as string) as string
    if (names.includes(name) || name === '__proto__' || !allowsText(name, limits)) return false
    names.push(name)
    at.keys++
    at.index += 2
    const start = at.index
    if (!allowsValue(tokens, at, limits, depth)) return false
    const value: unknown = JSON.parse(tokens.slice(start, at.index).join(''))
    if (name === 'constructor' && value && typeof value === 'object' && Object.keys(value).includes('prototype')) return false
  }
  at.index++
  return true
}

function allowsArray(tokens: readonly string[], at: At, limits: JsonLimits, depth: number): boolean {
  let items = 0
  while (tokens[at.index] !== ']') {
    if (tokens[at.index] === ',') at.index++
    if (!allowsValue(tokens, at, limits, depth)) return false
    items++
  }
  at.index++
  return items <= limits.maxItems
}

function allowsText(text: string, limits: JsonLimits): boolean {
  return (
    text.length <= limits.maxStringLength &&
    !text.includes('\0') &&
    !/[\ud800-\udfff]/.test(text.replace(/[\ud800-\udbff][\udc00-\udfff]/g, ''))
  )
}

/** Values whose texts contain what the rules are about. */
const name = fc.oneof(
  fc.constantFrom('a', 'b', '__proto__', 'constructor', 'prototype', '', 'ä', '😀', 'toString', '0', 'a/b~c'),
  fc.string({ maxLength: 14 }),
)
const { value: anything } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.oneof(
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
      fc.string({ unit: 'binary', maxLength: 14 }),
    ),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.array(fc.tuple(name, tie('value')), { maxLength: 4 }).map((members) => Object.fromEntries(members) as unknown),
  ),
}))

test('everything that JSON.stringify makes of clean values is accepted, and parsed to the same', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 8 }), (value) => {
      const text = JSON.stringify(value)
      fc.pre(!/__proto__|constructor/.test(text))
      assert.deepEqual(parseJson(Buffer.from(text)), JSON.parse(text))
    }),
    { numRuns: 2_000 },
  )
})

test('what is accepted is what JSON.parse and the obvious checker accept', () => {
  fc.assert(
    fc.property(anything, fc.boolean(), (value, spaced) => {
      const text = JSON.stringify(value, null, spaced ? 1 : 0)
      assert.equal(refusalOf(text, TIGHT) === undefined, allows(text, TIGHT), text)
    }),
    { numRuns: 4_000 },
  )
})

test('so it is after any single change to the text', () => {
  const pieces = [
    '"',
    '\\',
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    '0',
    '1e999',
    'null',
    ' ',
    '\n',
    '\\u0061',
    '\\u0000',
    '\\ud800',
    '"a":1,',
    ',"a":1',
    '[[[[[',
    ']]]]]',
    'é',
    '-',
    '.',
    'e',
  ]
  fc.assert(
    fc.property(anything, fc.nat(), fc.nat({ max: 3 }), fc.constantFrom('', ...pieces), (value, where, cut, piece) => {
      const text = JSON.stringify(value)
      const at = where % (text.length + 1)
      // Cutting in the midst of a pair would make a string that UTF-8 cannot hold.
      const changed = (text.slice(0, at) + piece + text.slice(at + cut)).toWellFormed()
      assert.equal(refusalOf(changed, TIGHT) === undefined, allows(changed, TIGHT), changed)
    }),
    { numRuns: 6_000 },
  )
})

test('a member that stands twice is found wherever it is put, however its name is written', () => {
  const spelled = (text: string): fc.Arbitrary<string> =>
    fc
      .array(fc.boolean(), { minLength: text.length, maxLength: text.length })
      .map((escaped) =>
        Array.from(text, (char, i) => (escaped[i] ? '\\u' + char.charCodeAt(0).toString(16).padStart(4, '0') : char)).join(''),
      )
  fc.assert(
    fc.property(spelled('name'), spelled('name'), fc.nat({ max: 6 }), fc.nat({ max: 4 }), (first, second, depth, between) => {
      const others = Array.from({ length: between }, (_, i) => `"o${i}":{"name":[]},`).join('')
      const object = `{"${first}":1,${others}"${second}":2}`
      const text = Array.from({ length: depth }).reduce<string>(
        (inner, _, i) => (i % 2 ? `[0,${inner}]` : `{"in":${inner}}`),
        object,
      )
      const path = Array.from({ length: depth }, (_, i) => (i % 2 ? '/1' : '/in'))
        .toReversed()
        .join('')
      assert.deepEqual(refusalOf(text), {
        rule: 'duplicate_key',
        pointer: `${path}/name`,
        message: 'a name stands twice in one object',
      })
    }),
    { numRuns: 500 },
  )
})

const REFUSED: readonly (readonly [string, string | Buffer, string, string])[] = [
  ['an empty text', '', 'empty', ''],
  ['blanks alone', ' \n', 'syntax', ''],
  ['two values', '1 2', 'syntax', ''],
  ['a comment', '{} // x', 'syntax', ''],
  ['a comma too many', '[1,]', 'syntax', ''],
  ['NaN', 'NaN', 'syntax', ''],
  ['a raw control character', '"\u0001"', 'syntax', ''],
  ['an escape that is none', '"\\x41"', 'syntax', ''],
  ['a byte order mark', '\ufeff1', 'byte_order_mark', ''],
  ['an overlong sequence', Buffer.from([0x22, 0xc0, 0x80, 0x22]), 'invalid_utf8', ''],
  ['a number too large', '{"a":[1,-1e999]}', 'number_out_of_range', '/a/1'],
  ['half a pair in a name', '{"a":{"\\udc00":1}}', 'lone_surrogate', '/a/\udc00'],
  ['a NUL within', '[["x\\u0000"]]', 'nul', '/0/0'],
  ['__proto__ within', '[{"__proto__":1}]', 'forbidden_name', '/0/__proto__'],
  ['a prototype of a constructor', '{"constructor":{"prototype":1}}', 'forbidden_name', '/constructor'],
  ['a name to be escaped', '{"a/b~c":1e999}', 'number_out_of_range', '/a~1b~0c'],
]

for (const [what, text, rule, pointer] of REFUSED) {
  test(`${what} is refused as ${rule}${pointer && ` at ${pointer}`}`, () => {
    const refusal = refusalOf(text)
    assert.equal(refusal?.rule, rule)
    assert.equal(refusal?.pointer, pointer)
  })
}

test('what only looks dangerous is accepted', () => {
  for (const text of [
    '{"constructor":"Ford"}',
    '{"prototype":{}}',
    '{"constructor":{}}',
    '"\\ud83d\\ude00"',
    '1e-400',
    '-0',
    '"\\u2028"',
    ' [ ] ',
    '{"":1}',
  ]) {
    assert.deepEqual(parseJson(Buffer.from(text)), JSON.parse(text), text)
  }
})

test('each limit lets its own value pass, and one more not', () => {
  const edges: readonly (readonly [string, (n: number) => string, number])[] = [
    ['too_deep', (n) => '['.repeat(n) + ']'.repeat(n), JSON_LIMITS.maxDepth],
    [
      'too_many_keys',
      (n) => JSON.stringify(Object.fromEntries(Array.from({ length: n }, (_, i) => [i, 0]))),
      JSON_LIMITS.maxKeys,
    ],
    ['too_many_items', (n) => JSON.stringify(Array(n).fill(0)), JSON_LIMITS.maxItems],
    ['string_too_long', (n) => JSON.stringify('é'.repeat(n)), JSON_LIMITS.maxStringLength],
  ]
  for (const [rule, make, limit] of edges) {
    assert.equal(refusalOf(make(limit)), undefined, rule)
    assert.equal(refusalOf(make(limit + 1))?.rule, rule)
  }
})

test('brackets, colons and quotes within strings count for nothing', () => {
  const value = { a: '[[[[[[{{{{{::::::', b: '\\"[[[[[', 'c:{': '\\\\' }
  assert.deepEqual(parseJson(Buffer.from(JSON.stringify(value)), { ...TIGHT, maxStringLength: 99 }), value)
})

test('a refusal quotes nothing of the text but names', () => {
  const refusal = refusalOf('{"password":"hunter2", oops')
  assert.doesNotMatch(JSON.stringify(refusal), /hunter2|oops/)
})
