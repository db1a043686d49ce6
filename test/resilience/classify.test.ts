import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { KeelsonError } from '../../src/core/errors.ts'
import { classify, createPipeline } from '../../src/resilience/index.ts'
import { createFaultProxy } from '../../src/testing/fault-proxy.ts'

const coded = (code: string, options?: ErrorOptions): Error => Object.assign(new Error(code, options), { code })
const socketError = (syscall: string, code: string): Error => Object.assign(new Error(`${syscall} ${code}`), { code, syscall })

test('network codes, also as the cause of another error', () => {
  assert.equal(classify(coded('ECONNREFUSED')), 'unprocessed')
  assert.equal(classify(coded('ECONNRESET')), 'ambiguous')
  assert.equal(classify(coded('CERT_HAS_EXPIRED')), 'permanent')
  assert.equal(classify(new TypeError('fetch failed', { cause: coded('UND_ERR_CONNECT_TIMEOUT') })), 'unprocessed')
  assert.equal(classify(coded('SOMETHING_ELSE', { cause: coded('EPIPE') })), 'ambiguous')
})

test('a route that is lost is certain only while connecting', () => {
  for (const code of ['EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN', 'EHOSTDOWN']) {
    assert.equal(classify(socketError('connect', code)), 'unprocessed', code)
    for (const syscall of ['read', 'write']) assert.equal(classify(socketError(syscall, code)), 'ambiguous', code)
    assert.equal(classify(coded(code)), 'ambiguous', code)
  }
})

test('a dispatcher that is destroyed may have sent the request, and `never` keeps it from being repeated', async () => {
  const destroyed = new TypeError('fetch failed', { cause: coded('UND_ERR_DESTROYED') })
  assert.equal(classify(destroyed), 'ambiguous')
  using pipeline = createPipeline({ name: 'destroyed', retry: { baseDelayMs: 0 } })
  let sent = 0
  const sending = pipeline.run(() => (sent++, Promise.reject(destroyed)), { repeat: 'never' })
  await assert.rejects(sending, (error) => error === destroyed)
  assert.equal(sent, 1)
})

test('several addresses that failed: certain only if all agree', () => {
  const all = (...codes: string[]): Error => new AggregateError(codes.map((code) => socketError('connect', code)))
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
