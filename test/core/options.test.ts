import assert from 'node:assert/strict'
import { test } from 'node:test'
import { atLeast, between, integerAtLeast, oneOf, optional, resolveOptions } from '../../src/core/options.ts'

const DEFAULTS = { timeoutMs: 100, mode: 'fast', limit: undefined as number | undefined }
const CHECKS = { timeoutMs: atLeast(0), mode: oneOf('fast', 'safe'), limit: optional(integerAtLeast(1)) }

test('given options lie over the defaults, and the result is frozen', () => {
  const options = resolveOptions('thing', DEFAULTS, { timeoutMs: 5 }, CHECKS)
  assert.deepEqual(options, { timeoutMs: 5, mode: 'fast', limit: undefined })
  assert.ok(Object.isFrozen(options))
})

test('an option given as undefined takes its default', () => {
  assert.equal(resolveOptions('thing', DEFAULTS, { timeoutMs: undefined }, CHECKS).timeoutMs, 100)
})

test('a refused option names owner, option, rule and value', () => {
  const refused = (given: object, message: string): void =>
    assert.throws(() => resolveOptions('thing', DEFAULTS, given, CHECKS), { code: 'KEELSON_CONFIG_INVALID', message })
  refused({ timeoutMs: -1 }, 'thing: `timeoutMs` must be a number >= 0, got -1')
  refused({ timeoutMs: Number.NaN }, 'thing: `timeoutMs` must be a number >= 0, got NaN')
  refused({ mode: 'slow' }, 'thing: `mode` must be one of fast, safe, got slow')
  refused({ limit: 1.5 }, 'thing: `limit` must be an integer >= 1, got 1.5')
  refused({ timeoutMS: 5 }, 'thing: `timeoutMS` is not an option, got 5')
  refused({ mode: { fast: true } }, 'thing: `mode` must be one of fast, safe, got an object')
})

test('between includes both ends', () => {
  const check = between(0, 1)
  assert.equal(check(0), undefined)
  assert.equal(check(1), undefined)
  assert.equal(check(1.01), 'must be a number from 0 to 1')
})

test('names that every object has are no options either', () => {
  for (const name of ['constructor', 'toString', 'hasOwnProperty']) {
    assert.throws(() => resolveOptions('thing', DEFAULTS, { [name]: 1 } as object, CHECKS), {
      code: 'KEELSON_CONFIG_INVALID',
      message: `thing: \`${name}\` is not an option, got 1`,
    })
  }
})
