import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { createVerifier, signToken, type AuthEvent, type VerifierOptions } from '../../src/http/auth/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { AUDIENCE, CLAIMS, forged, HEADER, ISSUER, NOW_SECONDS, SECRET, signed } from './auth-forge.ts'

const trusted = { issuer: ISSUER, audience: AUDIENCE, key: { secret: SECRET } } as const
const unauthenticated = (reason: string) => ({ code: 'KEELSON_UNAUTHENTICATED', kind: 'unauthenticated', details: { reason } })
const pem = (key: KeyObject) => key.export({ type: key.type === 'private' ? 'pkcs8' : 'spki', format: 'pem' }) as string

test('a development token is accepted, says what it was asked to, and ends when it should', async () => {
  const clock = new ManualClock()
  await using verifier = createVerifier({ ...trusted, clock })
  const token = await signToken({ ...trusted, sub: 'u1', username: 'ada', scopes: ['a', 'b'], ttlMs: 60_000, clock })
  const principal = await verifier.verify(token)
  assert.equal(principal.sub, 'u1')
  assert.equal(principal.username, 'ada')
  assert.deepEqual([...principal.scopes], ['a', 'b'])
  await clock.advance(65_000)
  await assert.rejects(verifier.verify(token), unauthenticated('expired'))
})

test('signing refuses what verifying would', async () => {
  await assert.rejects(signToken({ ...trusted, sub: '' }), { code: 'KEELSON_CONFIG_INVALID' })
  await assert.rejects(signToken({ ...trusted, sub: 'u', ttlMs: 90_000_000 }), { code: 'KEELSON_CONFIG_INVALID' })
  await assert.rejects(signToken({ ...trusted, sub: 'u', key: { secret: 'short' } }), /32 bytes/)
})

test('times are judged with the skew, to the millisecond', async () => {
  const cases: readonly (readonly [claims: Record<string, unknown>, nowMs: number, good: boolean])[] = [
    [{ exp: NOW_SECONDS + 10 }, 14_999, true],
    [{ exp: NOW_SECONDS + 10 }, 15_000, false],
    [{ nbf: NOW_SECONDS + 10 }, 5_000, true],
    [{ nbf: NOW_SECONDS + 10 }, 4_999, false],
    [{ iat: NOW_SECONDS + 10 }, 5_000, true],
    [{ iat: NOW_SECONDS + 10 }, 4_999, false],
    [{ exp: NOW_SECONDS + 86_405 }, 0, true],
    [{ exp: NOW_SECONDS + 86_406 }, 0, false],
  ]
  for (const [claims, nowMs, good] of cases) {
    const clock = new ManualClock()
    await using verifier = createVerifier({ ...trusted, clock })
    await clock.advance(nowMs)
    const accepted = await verifier.verify(forged(claims)).then(
      () => true,
      () => false,
    )
    assert.equal(accepted, good, JSON.stringify([claims, nowMs]))
  }
})

test('each issuer is judged by its own audience and key', async () => {
  const other = { issuer: 'https://other.example', audience: 'other', key: { secret: 'the other secret, of 32 bytes ok' } }
  await using verifier = createVerifier({ issuers: [trusted, other], clock: new ManualClock() })
  const clock = new ManualClock()
  await verifier.verify(await signToken({ ...trusted, sub: 'u', clock }))
  await verifier.verify(await signToken({ ...other, sub: 'u', clock }))
  await assert.rejects(
    verifier.verify(await signToken({ ...other, audience: AUDIENCE, sub: 'u', clock })),
    unauthenticated('audience'),
  )
  await assert.rejects(
    verifier.verify(await signToken({ ...other, key: trusted.key, sub: 'u', clock })),
    unauthenticated('signature'),
  )
  await assert.rejects(
    verifier.verify(await signToken({ ...other, issuer: 'third', sub: 'u', clock })),
    unauthenticated('issuer'),
  )
})

test('every kind of key verifies its own algorithm', async () => {
  const pairs = {
    RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    EdDSA: generateKeyPairSync('ed25519'),
  }
  for (const [alg, { publicKey, privateKey }] of Object.entries(pairs)) {
    for (const form of [pem(publicKey), publicKey.export({ format: 'jwk' })]) {
      await using verifier = createVerifier({ ...trusted, key: { publicKey: form as string }, clock: new ManualClock() })
      assert.equal((await verifier.verify(signed({ ...HEADER, alg }, CLAIMS, privateKey))).sub, 'user-1')
    }
  }
})

test('weak, private and mixed-up keys are refused at boot, and never shown', () => {
  const rsa = (modulusLength: number, publicExponent = 65_537) =>
    pem(generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey)
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const bad: readonly (readonly [key: unknown, message: RegExp])[] = [
    [{ secret: 'x'.repeat(31) }, /key.secret` must have at least 32 bytes/],
    [{ secret: undefined }, /key.secret` must be a string or bytes/],
    [{ publicKey: rsa(1024) }, /2048 to 8192 bits/],
    [{ publicKey: rsa(2048, 3) }, /exponent 65537/],
    [{ publicKey: pem(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey) }, /P-256/],
    [{ publicKey: pem(generateKeyPairSync('x25519').publicKey) }, /RSA, P-256 or Ed25519/],
    [{ publicKey: pem(ec.privateKey) }, /public key, not a private one/],
    [{ publicKey: ec.privateKey.export({ format: 'jwk' }) }, /public key, not a private one/],
    [{ publicKey: { kty: 'oct', k: 'AAAA' } }, /public key, not a private one/],
    [{ publicKey: 'hello' }, /public key as PEM or JWK/],
    [{ publicKey: pem(ec.publicKey), algorithm: 'RS256' }, /`key.algorithm` must be ES256/],
    [{ publicKey: pem(ec.publicKey), secret: 'x'.repeat(32) }, /exactly one of/],
    [{}, /exactly one of/],
    [undefined, /exactly one of/],
    [{ jwksUrl: 'http://issuer.example/keys' }, /https:/],
    [{ jwksUrl: 'http://127.0.0.1/keys' }, /https:/],
    [{ jwksUrl: 'http://issuer.example/keys', allowInsecureLoopback: true }, /https:/],
    [{ jwksUrl: 'file:///etc/passwd' }, /https:/],
    [{ jwksUrl: 'https://me:pass@issuer.example/keys' }, /without a user or password/],
    [{ jwksUrl: 'nonsense' }, /must be a URL/],
  ]
  for (const [key, message] of bad) {
    assert.throws(
      () => createVerifier({ ...trusted, key } as VerifierOptions),
      (error: Error & { code: string }) => {
        assert.equal(error.code, 'KEELSON_CONFIG_INVALID')
        assert.match(error.message, message)
        assert.doesNotMatch(error.message, /xxxx|BEGIN|pass@/)
        return true
      },
    )
  }
})

test('options that are unknown, missing or contradict each other are refused', () => {
  const bad: readonly (readonly [options: object, message: RegExp])[] = [
    [{ ...trusted, issuer: '' }, /`issuer` must be a non-empty string/],
    [{ ...trusted, audience: undefined }, /`audience` must be a non-empty string/],
    [{ issuers: [] }, /non-empty list/],
    [{ issuers: [trusted, trusted] }, /each issuer once/],
    [{ ...trusted, issuers: [trusted] }, /together/],
    [{ ...trusted, clockSkewMs: 60_001 }, /`clockSkewMs`/],
    [{ ...trusted, cacheTtlMs: 60_000 }, /`cacheTtlMs`/],
    [{ ...trusted, revoked: true }, /`revoked` must be a function/],
    [{ ...trusted, algorithms: ['none'] }, /`algorithms` is not an option/],
  ]
  for (const [options, message] of bad) {
    assert.throws(() => createVerifier(options as VerifierOptions), { code: 'KEELSON_CONFIG_INVALID', message })
  }
})

test('a verified token is remembered, but not beyond its end', async () => {
  const clock = new ManualClock()
  await using verifier = createVerifier({ ...trusted, clock, clockSkewMs: 0 })
  const token = forged({ exp: NOW_SECONDS + 20 })
  const first = await verifier.verify(token)
  await clock.advance(19_999)
  assert.equal(await verifier.verify(token), first)
  await clock.advance(1)
  await assert.rejects(verifier.verify(token), unauthenticated('expired'))
})

test('after 30 seconds the signature is checked again', async () => {
  const clock = new ManualClock()
  await using verifier = createVerifier({ ...trusted, clock })
  const token = forged()
  const first = await verifier.verify(token)
  await clock.advance(29_999)
  assert.equal(await verifier.verify(token), first)
  await clock.advance(1)
  assert.notEqual(await verifier.verify(token), first)
})

test('the memory is bounded: the oldest goes first', async () => {
  await using verifier = createVerifier({ ...trusted, clock: new ManualClock(), cacheMaxEntries: 2 })
  const [a, b, c] = [forged({ jti: 'a' }), forged({ jti: 'b' }), forged({ jti: 'c' })]
  const [first, second] = [await verifier.verify(a), await verifier.verify(b)]
  await verifier.verify(c)
  assert.equal(await verifier.verify(b), second)
  assert.notEqual(await verifier.verify(a), first)
})

test('a revoked token is refused at once, remembered or not', async () => {
  const revoked = new Set<unknown>()
  const asked: unknown[] = []
  await using verifier = createVerifier({
    ...trusted,
    clock: new ManualClock(),
    revoked: async ({ jti }) => (asked.push(jti), revoked.has(jti)),
  })
  const token = forged({ jti: 'j1' })
  await verifier.verify(token)
  await verifier.verify(token)
  revoked.add('j1')
  await assert.rejects(verifier.verify(token), unauthenticated('revoked'))
  assert.deepEqual(asked, ['j1', 'j1', 'j1'])
})

test('a revocation list that fails is neither yes nor no', async () => {
  const revoked = () => Promise.reject(new Error('redis is down'))
  await using verifier = createVerifier({ ...trusted, clock: new ManualClock(), revoked })
  await assert.rejects(verifier.verify(forged()), { code: 'KEELSON_AUTH_UNAVAILABLE', kind: 'unavailable', retryable: true })
})

test('a principal is shared between requests, so nobody can change it', async () => {
  await using verifier = createVerifier({ ...trusted, clock: new ManualClock() })
  const principal = await verifier.verify(forged({ tenant: { roles: ['a'] } }))
  assert.throws(() => Object.assign(principal, { sub: 'root' }), TypeError)
  assert.throws(() => (principal.claims['tenant'] as { roles: string[] }).roles.push('admin'), TypeError)
})

test('a caller that has left is answered with its own reason', async () => {
  await using verifier = createVerifier({ ...trusted, clock: new ManualClock(), revoked: () => new Promise(() => {}) })
  const caller = new AbortController()
  const verifying = verifier.verify(forged(), caller.signal)
  caller.abort(new Error('left'))
  await assert.rejects(verifying, /left/)
  await assert.rejects(verifier.verify(forged(), caller.signal), /left/)
})

test('whatever is sent, the answer is "not valid", never another error', async () => {
  const events: AuthEvent[] = []
  await using verifier = createVerifier({ ...trusted, clock: new ManualClock(), onEvent: (event) => events.push(event) })
  const good = forged()
  const mutated = fc
    .tuple(fc.nat(good.length - 1), fc.string({ minLength: 0, maxLength: 3 }))
    .map(([at, text]) => good.slice(0, at) + text + good.slice(at + 1))
    .filter((text) => text !== good)
  const anyJson = fc
    .tuple(fc.json(), fc.json())
    .map(([h, p]) => [h, p, 'x'].map((part) => Buffer.from(part).toString('base64url')).join('.'))
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutated, anyJson, fc.string({ unit: 'binary' })), async (text) => {
      await assert.rejects(verifier.verify(text), { code: 'KEELSON_UNAUTHENTICATED' })
    }),
    { numRuns: 500 },
  )
  assert.ok(events.length > 0 && events.every((event) => event.type === 'token.refused'))
})
