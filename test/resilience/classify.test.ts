import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { KeelsonError } from '../../src/core/errors.ts'
import { classify } from '../../src/resilience/index.ts'
import { createFaultProxy } from '../../src/testing/fault-proxy.ts'

const coded = (code: string, options?: ErrorOptions): Error => Object.assign(new Error(code, options), { code })

test('network codes, also as the cause of another error', () => {
  assert.equal(classify(coded('ECONNREFUSED')), 'unprocessed')
  assert.equal(classify(coded('ECONNRESET')), 'ambiguous')
  assert.equal(classify(coded('CERT_HAS_EXPIRED')), 'permanent')
  assert.equal(classify(new TypeError('fetch failed', { cause: coded('UND_ERR_CONNECT_TIMEOUT') })), 'unprocessed')
  assert.equal(classify(coded('SOMETHING_ELSE', { cause: coded('EPIPE') })), 'ambiguous')
})

test('several addresses that failed: certain only if all agree', () => {
  const all = (...codes: string[]): Error => new AggregateError(codes.map((code) => coded(code)))
  assert.equal(classify(all('ECONNREFUSED', 'EHOSTUNREACH')), 'unprocessed')
  assert.equal(classify(all('ECONNREFUSED', 'ECONNRESET')), 'ambiguous')
  assert.equal(classify(all()), 'permanent')
})

test('Keelson errors: by kind, by `retryable`, and by what caused them', () => {
  assert.equal(classify(new KeelsonError('X', 'unavailable', 'x')), 'ambiguous')
  assert.equal(classify(new KeelsonError('X', 'unavailable', 'x', { retryable: false })), 'permanent')
  assert.equal(classify(new KeelsonError('X', 'conflict', 'x', { retryable: true })), 'ambiguous')
  assert.equal(classify(new KeelsonError('X', 'cancelled', 'x')), 'cancelled')
  assert.equal(classify(new KeelsonError('KEELSON_BULKHEAD_FULL', 'overloaded', 'x')), 'refused')
})

test('aborts are cancellations; a timeout of somebody else is ambiguous', () => {
  assert.equal(classify(AbortSignal.abort().reason), 'cancelled')
  assert.equal(classify(new DOMException('late', 'TimeoutError')), 'ambiguous')
})

test('nothing is known of the rest, cycles of causes included', () => {
  const cyclic = new Error('a')
  cyclic.cause = cyclic
  for (const odd of [cyclic, new TypeError('bug'), null, undefined, 'text', 7, {}]) assert.equal(classify(odd), 'permanent')
})

test('real sockets: refused is unprocessed, reset is ambiguous', async () => {
  await using proxy = await createFaultProxy({ target: { host: '127.0.0.1', port: 1 }, mode: 'refuse' })
  const failure = (): Promise<unknown> => {
    const socket = connect({ host: proxy.host, port: proxy.port })
    return once(socket, 'close').catch((error: unknown) => error)
  }
  assert.equal(classify(await failure()), 'unprocessed')
  await proxy.set('reset')
  assert.equal(classify(await failure()), 'ambiguous')
})
