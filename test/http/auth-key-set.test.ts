import assert from 'node:assert/strict'
import { generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { test } from 'node:test'
import { createVerifier, type AuthEvent, type Verifier } from '../../src/http/auth/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { AUDIENCE, CLAIMS, HEADER, ISSUER, NOW_SECONDS, signed } from './auth-forge.ts'

interface Key {
  readonly jwk: Readonly<Record<string, unknown>>
  /** A good token for the next hour, from `wallNow` on. */
  token(header?: Record<string, unknown>, wallNow?: number): string
}

function key(kid: string | undefined, extra: Record<string, unknown> = {}): Key {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, ...extra }
  return { jwk, token: (header = {}, wallNow = START) => ecToken(privateKey, { kid, ...header }, wallNow) }
}

const START = NOW_SECONDS * 1_000
let serial = 0

function ecToken(privateKey: KeyObject, header: object, wallNow: number): string {
  const exp = Math.floor(wallNow / 1_000) + 3_600
  return signed({ ...HEADER, alg: 'ES256', ...header }, { ...CLAIMS, exp, jti: `j${serial++}` }, privateKey)
}

/** A real server for the key set, counting its requests; `answer` may be exchanged. */
class Issuer implements AsyncDisposable {
  requests = 0
  answer: (response: ServerResponse, request: IncomingMessage) => void
  readonly #server = createServer((request, response) => {
    this.requests++
    this.answer(response, request)
  })

  constructor(...keys: readonly Key[]) {
    this.answer = (response) => response.end('{}')
    this.publish(...keys)
  }

  publish(...keys: readonly Key[]): void {
    this.answer = (response) => response.end(JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }))
  }

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/keys`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }
}

async function trusting(issuer: Issuer, clock: ManualClock, events: AuthEvent[] = []): Promise<Verifier> {
  const jwksUrl = await issuer.start()
  return createVerifier({
    issuer: ISSUER,
    audience: AUDIENCE,
    clock,
    key: { jwksUrl, allowInsecureLoopback: true },
    onEvent: (event) => events.push(event),
  })
}

const refusal = (reason: string) => ({ code: 'KEELSON_UNAUTHENTICATED', details: { reason } })
const unavailable = { code: 'KEELSON_AUTH_UNAVAILABLE', kind: 'unavailable' }

test('callers share one request for the key set, and it is kept', async () => {
  const a = key('a')
  await using issuer = new Issuer(a)
  const clock = new ManualClock()
  const events: AuthEvent[] = []
  await using verifier = await trusting(issuer, clock, events)
  await Promise.all(Array.from({ length: 50 }, () => verifier.verify(a.token())))
  await clock.advance(600_000)
  await verifier.verify(a.token())
  assert.equal(issuer.requests, 1)
  assert.deepEqual(events, [{ type: 'keys.refreshed', source: 'auth', issuer: ISSUER, keys: 1, durationMs: 0 }])
  await clock.advance(1)
  await verifier.verify(a.token())
  assert.equal(issuer.requests, 2)
})

test('a new key works after one refresh, under load, while the old one goes on working', async () => {
  const [old, fresh] = [key('old'), key('fresh')]
  await using issuer = new Issuer(old)
  const clock = new ManualClock()
  await using verifier = await trusting(issuer, clock)
  await verifier.verify(old.token())
  await clock.advance(30_000)
  issuer.publish(old, fresh)
  await Promise.all(Array.from({ length: 100 }, (_, i) => verifier.verify((i % 2 ? old : fresh).token())))
  assert.equal(issuer.requests, 2)
})

test('1000 tokens with invented key ids cost the issuer at most two requests', async () => {
  const a = key('a')
  await using issuer = new Issuer(a)
  const clock = new ManualClock()
  await using verifier = await trusting(issuer, clock)
  const flood = async (count: number) => {
    for (let i = 0; i < count; i++) await assert.rejects(verifier.verify(a.token({ kid: randomUUID() })), refusal('unknown_key'))
  }
  await flood(500)
  await clock.advance(30_000)
  await flood(500)
  assert.equal(issuer.requests, 2)
})

test('a key id that a refresh did not bring causes no other for two minutes', async () => {
  const a = key('a')
  await using issuer = new Issuer(a)
  const clock = new ManualClock()
  await using verifier = await trusting(issuer, clock)
  await verifier.verify(a.token())
  const requestsAfter = async (ms: number) => {
    await clock.advance(ms)
    await assert.rejects(verifier.verify(a.token({ kid: 'retired' })), refusal('unknown_key'))
    return issuer.requests
  }
  assert.deepEqual([await requestsAfter(30_000), await requestsAfter(60_000), await requestsAfter(60_000)], [2, 2, 3])
})

test('while the issuer is down its keys stay good for a day, and no longer', async () => {
  const a = key('a')
  await using issuer = new Issuer(a)
  const clock = new ManualClock()
  const events: AuthEvent[] = []
  await using verifier = await trusting(issuer, clock, events)
  await verifier.verify(a.token())
  await issuer[Symbol.asyncDispose]()
  const late = () => verifier.verify(a.token({}, clock.wallNow()))
  await clock.advance(600_001)
  await late()
  assert.equal(events.at(-1)?.type, 'keys.failed')
  await clock.advance(86_400_000 - 600_001)
  await late()
  await clock.advance(1)
  await assert.rejects(late(), unavailable)
})

test('an issuer that hangs costs one wait of two seconds, not one per request', async () => {
  const a = key('a')
  await using issuer = new Issuer(a)
  const clock = new ManualClock()
  await using verifier = await trusting(issuer, clock)
  await verifier.verify(a.token())

  const asked = Promise.withResolvers<void>()
  issuer.answer = () => asked.resolve()
  await clock.advance(600_001)
  const waiting = verifier.verify(a.token())
  await asked.promise
  await clock.advance(2_000)
  await waiting
  await verifier.verify(a.token())
  assert.equal(issuer.requests, 2)
  assert.equal(clock.pendingTimers, 0)

  // The next attempt waits in the background: requests don't.
  await clock.advance(2_000)
  await verifier.verify(a.token())
})

test('an issuer that was down at the first request is found two seconds after its return', async () => {
  const a = key('a')
  await using issuer = new Issuer(a)
  const clock = new ManualClock()
  await using verifier = await trusting(issuer, clock)
  issuer.answer = (response) => response.writeHead(503).end()
  await assert.rejects(verifier.verify(a.token()), unavailable)
  issuer.publish(a)
  await assert.rejects(verifier.verify(a.token()), unavailable)
  await clock.advance(2_000)
  await verifier.verify(a.token())
})

test('a key set that is too long, too many, moved, ambiguous or not one is refused', async () => {
  const a = key('a')
  const answers: Record<string, Issuer['answer']> = {
    'too long': (response) => response.end(JSON.stringify({ keys: [a.jwk], fill: 'x'.repeat(65_536) })),
    endless: (response) => {
      const pump = (): void => {
        while (!response.destroyed && response.write('x'.repeat(16_384)));
        response.once('drain', pump)
      }
      pump()
    },
    'too many keys': (response) => response.end(JSON.stringify({ keys: Array.from({ length: 51 }, () => a.jwk) })),
    'a redirect': (response, request) =>
      request.url === '/keys'
        ? response.writeHead(302, { location: '/other' }).end()
        : response.end(JSON.stringify({ keys: [a.jwk] })),
    'an error status': (response) => response.writeHead(404).end(JSON.stringify({ keys: [a.jwk] })),
    'no JSON': (response) => response.end('<html>'),
    'no list': (response) => response.end('{"keys":{}}'),
    'a list': (response) => response.end('[]'),
    'no keys': (response) => response.end('{"keys":[]}'),
    'entries that are no keys': (response) => response.end('{"keys":[null,1,"x",[],{}]}'),
    'the same name twice': (response) => response.end(`{"keys":[],"keys":[${JSON.stringify(a.jwk)}]}`),
    'one id for two keys': (response) => response.end(JSON.stringify({ keys: [a.jwk, key('a').jwk] })),
  }
  for (const [name, answer] of Object.entries(answers)) {
    await using issuer = new Issuer()
    await using verifier = await trusting(issuer, new ManualClock())
    issuer.answer = answer
    await assert.rejects(verifier.verify(a.token()), unavailable, name)
    assert.equal(issuer.requests, 1, name)
  }
})

test('keys that say they are for something else are passed over', async () => {
  const good = key('good', { use: 'sig', key_ops: ['verify'], alg: 'ES256' })
  const unusable = [
    key('enc', { use: 'enc' }),
    key('sign', { key_ops: ['sign'] }),
    key('other-alg', { alg: 'ES384' }),
    key('private', { d: 'AAAA' }),
    key('broken', { x: 'AAAA' }),
    key('secret', { kty: 'oct', k: 'AAAA' }),
  ]
  await using issuer = new Issuer(good, ...unusable)
  await using verifier = await trusting(issuer, new ManualClock())
  await verifier.verify(good.token())
  for (const other of unusable) await assert.rejects(verifier.verify(other.token()), refusal('unknown_key'))
})

test('a token without a key id is accepted only where there is one key', async () => {
  const [named, unnamed] = [key('a'), key(undefined)]
  await using one = new Issuer(named)
  await using single = await trusting(one, new ManualClock())
  await single.verify(named.token({ kid: undefined }))

  await using two = new Issuer(named, unnamed)
  await using several = await trusting(two, new ManualClock())
  await several.verify(named.token())
  for (const token of [named.token({ kid: undefined }), unnamed.token()]) {
    await assert.rejects(several.verify(token), refusal('unknown_key'))
  }
})

test('a verifier that is disposed ends its request', async () => {
  const a = key('a')
  await using issuer = new Issuer(a)
  const verifier = await trusting(issuer, new ManualClock())
  const asked = Promise.withResolvers<void>()
  issuer.answer = () => asked.resolve()
  const verifying = assert.rejects(verifier.verify(a.token()), unavailable)
  await asked.promise
  await verifier[Symbol.asyncDispose]()
  await verifying
})
