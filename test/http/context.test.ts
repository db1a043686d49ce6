import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import fc from 'fast-check'
import { context, outgoingTraceHeaders, requestIdOptions, traceHeaders, traceOf } from '../../src/http/context/index.ts'

const TRACE_ID = '12345678901234567890123456789012'
const PARENT_ID = '1234567890123456'
const PARENT = `00-${TRACE_ID}-${PARENT_ID}-01`

/** A service that answers with the headers it would send on, three times. */
async function echoService(): Promise<FastifyInstance> {
  const app = Fastify(requestIdOptions())
  await app.register(context)
  app.get('/', async (request) => ({
    id: request.id,
    trace: request.trace,
    outgoing: [1, 2, 3].map(() => outgoingTraceHeaders(request)),
  }))
  app.get('/fails', async () => {
    throw new Error('no')
  })
  return app
}

/** Sends the header lines as they are, repeated names and odd blanks included. */
async function ask(app: FastifyInstance, lines: readonly string[]): Promise<{ traceparent: string; tracestate?: string }[]> {
  const { port } = app.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  socket.write(['GET / HTTP/1.1', 'Host: a', 'Connection: close', ...lines, '', ''].join('\r\n'))
  let reply = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => (reply += chunk))
  await once(socket, 'close')
  return JSON.parse(reply.slice(reply.indexOf('\r\n\r\n'))).outgoing
}

async function withServer(run: (app: FastifyInstance) => Promise<void>): Promise<void> {
  const app = await echoService()
  await app.listen({ host: '127.0.0.1', port: 0 })
  try {
    await run(app)
  } finally {
    await app.close()
  }
}

test("the caller's request id is kept when it is harmless, and on each reply", async () => {
  const app = await echoService()
  for (const [given, kept] of [
    ['abcdefgh', true],
    [`${'a'.repeat(60)}._-9`, true],
    ['short', false],
    ['a'.repeat(65), false],
    ['abc def ghi', false],
    ['{"level":60}', false],
    ['äöüäöüäöü', false],
  ] as const) {
    const reply = await app.inject({ url: '/', headers: { 'x-request-id': given } })
    assert.equal(reply.headers['x-request-id'], reply.json().id)
    assert.equal(reply.json().id === given, kept, given)
    assert.match(reply.json().id, /^[A-Za-z0-9._-]{8,64}$/)
  }
  for (const url of ['/missing', '/fails']) {
    const reply = await app.inject({ url, headers: { 'x-request-id': 'my-request' } })
    assert.equal(reply.headers['x-request-id'], 'my-request')
  }
})

test('made ids and span ids do not repeat', async () => {
  const ids = Array.from({ length: 20_000 }, () => traceOf({})).flatMap((trace) => [trace.traceId, trace.spanId])
  assert.equal(new Set(ids).size, ids.length)
})

test('log lines of a request carry its id and its trace id', async () => {
  const lines: Record<string, unknown>[] = []
  const app = Fastify({
    ...requestIdOptions(),
    logger: { stream: { write: (line: string) => void lines.push(JSON.parse(line)) } },
  })
  await app.register(context)
  app.get('/', async (request) => request.log.warn('from the handler'))
  await app.inject({ url: '/', headers: { traceparent: PARENT, 'x-request-id': 'my-request' } })
  const line = lines.find((entry) => entry['msg'] === 'from the handler')
  assert.equal(line?.['requestId'], 'my-request')
  assert.equal(line?.['traceId'], TRACE_ID)
})

test('a valid traceparent is continued, whatever its version or the blanks around it', () =>
  withServer(async (app) => {
    for (const header of [
      `traceparent: ${PARENT}`,
      `TraceParent:${PARENT}`,
      `TRACEPARENT: \t ${PARENT} \t`,
      `traceparent: cc-${PARENT.slice(3)}`,
      `traceparent: cc-${PARENT.slice(3)}-what-the-future-will-be-like`,
      `traceparent: 01-${PARENT.slice(3, -2)}ff-`,
    ]) {
      const sent = await ask(app, [header])
      assert.ok(
        sent.every(({ traceparent }) => traceparent.startsWith(`00-${TRACE_ID}-`)),
        header,
      )
      // Each call is a span of its own, and none is the caller's.
      const spans = new Set([...sent.map(({ traceparent }) => traceparent.slice(36, 52)), PARENT_ID])
      assert.equal(spans.size, 4, header)
    }
  }))

test('a malformed traceparent begins a new trace', () =>
  withServer(async (app) => {
    for (const lines of [
      [],
      [`trace-parent: ${PARENT}`],
      [`traceparent: ${PARENT}`, `traceparent: 00-${TRACE_ID}-${PARENT_ID}-00`],
      [`traceparent: ${PARENT}.`],
      [`traceparent: ${PARENT}-what-the-future-will-be-like`],
      [`traceparent: cc-${PARENT.slice(3)}.what-the-future-will-be-like`],
      [`traceparent: ff-${PARENT.slice(3)}`],
      [`traceparent: .0-${PARENT.slice(3)}`],
      [`traceparent: 000-${PARENT.slice(3)}`],
      [`traceparent: 0-${PARENT.slice(3)}`],
      [`traceparent: 00-${'0'.repeat(32)}-${PARENT_ID}-01`],
      [`traceparent: 00-${TRACE_ID}-${'0'.repeat(16)}-01`],
      [`traceparent: 00-.${TRACE_ID.slice(1)}-${PARENT_ID}-01`],
      [`traceparent: 00-${TRACE_ID}0-${PARENT_ID}-01`],
      [`traceparent: 00-${TRACE_ID.slice(1)}-${PARENT_ID}-01`],
      [`traceparent: 00-${'ABCDEF'.padEnd(32, '0')}-${PARENT_ID}-01`],
      [`traceparent: 00-${TRACE_ID}-${PARENT_ID}0-01`],
      [`traceparent: 00-${TRACE_ID}-${PARENT_ID}-.0`],
      [`traceparent: 00-${TRACE_ID}-${PARENT_ID}-001`],
      [`traceparent: 00-${TRACE_ID}-${PARENT_ID}-1`],
    ]) {
      const sent = await ask(app, [...lines, 'tracestate: foo=1'])
      assert.equal(new Set(sent.map(({ traceparent }) => traceparent.slice(3, 35))).size, 1)
      for (const { traceparent, tracestate } of sent) {
        assert.match(traceparent, /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[0-3]$/)
        assert.ok(!traceparent.includes(TRACE_ID), lines.join())
        assert.equal(tracestate, undefined, 'the state of a trace that is not continued is dropped')
      }
    }
  }))

test('flags: known bits are passed on, unknown ones are not', () => {
  const sentOn = (flags: string): string =>
    traceHeaders(traceOf({ traceparent: `00-${TRACE_ID}-${PARENT_ID}-${flags}` })).traceparent.slice(-2)
  assert.equal(sentOn('00'), '00')
  assert.equal(sentOn('01'), '01')
  assert.equal(sentOn('02'), '02')
  assert.equal(sentOn('ff'), '03')
  assert.equal(traceHeaders(traceOf({})).traceparent.slice(-2), '02', 'our own ids are random')
})

const KEY = 'abcdefghijklmnopqrstuvwxyz0123456789_-*/'
const chars = (from: number, to: number): string =>
  String.fromCharCode(...Array.from({ length: to - from + 1 }, (_, i) => from + i))
const VALUE = chars(0x20, 0x2b) + chars(0x2d, 0x3c) + chars(0x3e, 0x7e)
const many = (n: number): string => Array.from({ length: n }, (_, i) => `bar${i}=${i}`).join(',')

test('tracestate is passed on when valid, in order', () =>
  withServer(async (app) => {
    for (const [lines, expected] of [
      [['foo=1,bar=2'], 'foo=1,bar=2'],
      [['foo=1,bar=2', 'rojo=1,congo=2', 'baz=3'], 'foo=1,bar=2,rojo=1,congo=2,baz=3'],
      [['foo=1', ''], 'foo=1'],
      [['', 'foo=1'], 'foo=1'],
      [['foo=1 \t , \t bar=2, \t baz=3'], 'foo=1,bar=2,baz=3'],
      [['\t foo=1 \t'], 'foo=1'],
      [[`${KEY}=${VALUE}`], `${KEY}=${VALUE}`],
      [[`${KEY}@a-z0-9_-*/=${VALUE}`], `${KEY}@a-z0-9_-*/=${VALUE}`],
      [[many(32)], many(32)],
      [[`${'z'.repeat(256)}=1`], `${'z'.repeat(256)}=1`],
      [[`${'t'.repeat(241)}@${'v'.repeat(14)}=1`], `${'t'.repeat(241)}@${'v'.repeat(14)}=1`],
    ] as const) {
      const sent = await ask(app, [`traceparent: ${PARENT}`, ...lines.map((line) => `TraceState: ${line}`)])
      assert.equal(sent[0]?.tracestate, expected)
    }
  }))

test('tracestate is dropped as a whole when any of it is malformed, and the trace goes on', () =>
  withServer(async (app) => {
    for (const lines of [
      [''],
      ['foo=1,foo=1'],
      ['foo=1', 'foo=2'],
      ['foo =1'],
      ['FOO=1'],
      ['foo.bar=1'],
      ['foo@=1,bar=2'],
      ['@foo=1,bar=2'],
      ['foo@@bar=1,bar=2'],
      ['foo@bar@baz=1,bar=2'],
      [many(33)],
      ['foo=1', `${'z'.repeat(257)}=1`],
      ['foo=1', `${'t'.repeat(242)}@v=1`],
      ['foo=1', `t@${'v'.repeat(15)}=1`],
      ['foo=bar=baz'],
      ['foo=,bar=3'],
      [`foo=${'v'.repeat(257)}`],
    ]) {
      const sent = await ask(app, [`traceparent: ${PARENT}`, ...lines.map((line) => `tracestate: ${line}`)])
      assert.equal(sent[0]?.tracestate, undefined, lines.join())
      assert.equal(sent[0]?.traceparent.slice(3, 35), TRACE_ID)
    }
  }))

test('whatever a caller sends, what goes on is well-formed', () => {
  const header = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('0', 'a', 'f', '-', '=', ',', '@', ' ', '\t') }))
  fc.assert(
    fc.property(header, header, (traceparent, tracestate) => {
      const sent = traceHeaders(traceOf({ traceparent, tracestate }))
      assert.match(sent.traceparent, /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[0-3]$/)
      assert.match(sent.tracestate ?? 'a=1', /^[\x20-\x7e]{3,}$/)
    }),
  )
})
