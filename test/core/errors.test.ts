import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isKeelsonError, KeelsonError, type ErrorKind } from '../../src/core/errors.ts'

test('an error has a code, a kind and a cause, and is an Error', () => {
  const cause = new Error('below')
  const error = new KeelsonError('KEELSON_INTERNAL', 'internal', 'above', { cause, details: { table: 'users' } })
  assert.ok(error instanceof Error)
  assert.equal(error.cause, cause)
  assert.deepEqual([error.name, error.code, error.kind, error.message], ['KeelsonError', 'KEELSON_INTERNAL', 'internal', 'above'])
  assert.deepEqual(error.details, { table: 'users' })
  assert.deepEqual(new KeelsonError('X', 'invalid', '').details, {})
})

test('whether trying again may help follows from the kind, unless the thrower knows better', () => {
  const retryable = (kind: ErrorKind): boolean => new KeelsonError('X', kind, '').retryable
  for (const kind of ['overloaded', 'unavailable', 'timeout'] as const) assert.equal(retryable(kind), true, kind)
  for (const kind of ['invalid', 'unauthenticated', 'forbidden', 'not_found', 'conflict', 'cancelled', 'internal'] as const) {
    assert.equal(retryable(kind), false, kind)
  }
  assert.equal(new KeelsonError('X', 'timeout', '', { retryable: false }).retryable, false)
  assert.equal(new KeelsonError('X', 'conflict', '', { retryable: true }).retryable, true)
})

test('errors are told by their brand, so that a second copy of the package knows them too', async () => {
  // Another URL is another module to Node, as a second installation would be.
  const copy = (await import(`${import.meta.resolve('../../src/core/errors.ts')}?copy`)) as { KeelsonError: typeof KeelsonError }
  assert.notEqual(copy.KeelsonError, KeelsonError)
  const foreign = new copy.KeelsonError('KEELSON_INTERNAL', 'internal', '')
  assert.equal(foreign instanceof KeelsonError, false)
  assert.equal(isKeelsonError(foreign), true)
  assert.equal(isKeelsonError(foreign, 'KEELSON_INTERNAL'), true)
  assert.equal(isKeelsonError(foreign, 'KEELSON_TIMEOUT'), false)
})

test('nothing else passes for one', () => {
  const forged = { name: 'KeelsonError', code: 'KEELSON_INTERNAL', kind: 'internal', message: '' }
  for (const value of [undefined, null, 'KEELSON_INTERNAL', forged, new Error('x'), Object.assign(new Error('x'), forged)]) {
    assert.equal(isKeelsonError(value), false)
  }
})

test('the brand shows in no log line', () => {
  const copied = Object.assign({}, new KeelsonError('X', 'internal', ''))
  assert.deepEqual(Object.getOwnPropertySymbols(copied), [])
})
