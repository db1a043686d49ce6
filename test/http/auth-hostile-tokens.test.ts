import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import type { JWK } from 'jose'
import fastify, { type FastifyInstance } from 'fastify'
import { auth, createVerifier, type AuthEvent, type RefusalReason } from '../../src/http/auth/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { AUDIENCE, CLAIMS, encode, forged, HEADER, hmac, ISSUER, NOW_SECONDS, SECRET, signed } from './auth-forge.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const k256 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
const RSA_ISSUER = 'https://rsa.example'
const EC_ISSUER = 'https://ec.example'

const pem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }) as string
const without = (claim: string): string => hmac(HEADER, { ...CLAIMS, [claim]: undefined })
const json = JSON.stringify(CLAIMS)
const rsaClaims = { ...CLAIMS, iss: RSA_ISSUER }
const ecClaims = { ...CLAIMS, iss: EC_ISSUER }

/** Another text for the same bytes: the last character's unused bits set. */
function withStrayBits(token: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return token.slice(0, -1) + alphabet[alphabet.indexOf(token.at(-1)!) + 1]!
}

const [goodHeader, goodPayload, goodSignature] = forged().split('.') as [string, string, string]
const trap = 'http://127.0.0.1:TRAP/keys'

/** What is sent after `Authorization: Bearer `, and the rule that it must break first. */
const HOSTILE: Readonly<Record<string, readonly [token: string, reason: RefusalReason]>> = {
  'alg none, unsigned': [`${encode({ alg: 'none', typ: 'at+jwt' })}.${goodPayload}.`, 'malformed'],
  'alg none, signed': [forged({}, { alg: 'none' }), 'algorithm'],
  'alg NONE': [forged({}, { alg: 'NONE' }), 'algorithm'],
  'alg missing': [forged({}, { alg: undefined }), 'algorithm'],
  'alg a number': [forged({}, { alg: 256 }), 'algorithm'],
  'alg a list': [forged({}, { alg: ['HS256'] }), 'algorithm'],
  'alg in lower case': [forged({}, { alg: 'hs256' }), 'algorithm'],
  'alg __proto__': [forged({}, { alg: '__proto__' }), 'algorithm'],
  'HS512 with the same secret': [hmac({ ...HEADER, alg: 'HS512' }, CLAIMS, SECRET, 'sha512'), 'algorithm'],
  'RSA public key as HMAC secret': [hmac(HEADER, rsaClaims, pem(rsa.publicKey)), 'algorithm'],
  'RS256 announced, HMAC signed': [hmac({ ...HEADER, alg: 'RS256' }, rsaClaims, pem(rsa.publicKey)), 'signature'],
  'RS256 for the issuer with a secret': [signed({ ...HEADER, alg: 'RS256' }, CLAIMS, rsa.privateKey), 'algorithm'],
  'PS256 for a key bound to RS256': [signed({ ...HEADER, alg: 'PS256' }, rsaClaims, rsa.privateKey), 'algorithm'],
  'wrong curve, P-384': [signed({ ...HEADER, alg: 'ES256' }, ecClaims, p384.privateKey), 'signature'],
  'wrong curve, secp256k1': [signed({ ...HEADER, alg: 'ES256' }, ecClaims, k256.privateKey), 'signature'],
  'ECDSA signature of zeros': [
    `${encode({ ...HEADER, alg: 'ES256' })}.${encode(ecClaims)}.${Buffer.alloc(64).toString('base64url')}`,
    'signature',
  ],
  'another secret': [hmac(HEADER, CLAIMS, 'another secret of thirty-two byte'), 'signature'],
  'signature of another payload': [`${goodHeader}.${encode({ ...CLAIMS, sub: 'root' })}.${goodSignature}`, 'signature'],
  'signature cut short': [
    `${goodHeader}.${goodPayload}.${Buffer.from(goodSignature, 'base64url').subarray(0, 16).toString('base64url')}`,
    'signature',
  ],
  'signature stray bits': [withStrayBits(forged()), 'malformed'],
  'signature with padding': [`${forged()}=`, 'malformed'],
  'signature in base64, not base64url': [`${goodHeader}.${goodPayload}.ab+/`, 'malformed'],
  'signature with a question mark': [`${forged()}?`, 'malformed'],
  'header stray bits': [
    `${withStrayBits(encode('{"alg":"HS256","typ":"at+jwt"} '))}.${goodPayload}.${goodSignature}`,
    'malformed',
  ],
  'space inside': [`${goodHeader}. ${goodPayload}.${goodSignature}`, 'malformed'],
  'tab inside': [`${goodHeader}.\t${goodPayload}.${goodSignature}`, 'malformed'],
  'token twice': [`${forged()} ${forged()}`, 'malformed'],
  'token twice, with a comma': [`${forged()}, Bearer ${forged()}`, 'malformed'],
  'Bearer twice': [`Bearer ${forged()}`, 'malformed'],
  quoted: [`"${forged()}"`, 'malformed'],
  'two parts': [`${goodHeader}.${goodPayload}`, 'malformed'],
  'four parts': [`${forged()}.x`, 'malformed'],
  'five parts, a JWE': [`${encode({ alg: 'dir', enc: 'A256GCM' })}..AAAA.AAAA.AAAA`, 'malformed'],
  'empty header': [`.${goodPayload}.${goodSignature}`, 'malformed'],
  'empty payload': [`${goodHeader}..${goodSignature}`, 'malformed'],
  'only dots': ['..', 'malformed'],
  'a word': ['hello', 'malformed'],
  'JSON serialization': [JSON.stringify({ protected: goodHeader, payload: goodPayload, signature: goodSignature }), 'malformed'],
  'header not JSON': [hmac('nope', CLAIMS), 'malformed'],
  'header a list': [hmac('["HS256"]', CLAIMS), 'malformed'],
  'header null': [hmac('null', CLAIMS), 'malformed'],
  'duplicate name in the header': [hmac('{"alg":"none","alg":"HS256","typ":"at+jwt"}', CLAIMS), 'malformed'],
  'duplicate name in the payload': [hmac(HEADER, `{"sub":"root",${json.slice(1)}`), 'malformed'],
  'duplicate name, escaped': [hmac(HEADER, `{"\\u0073ub":"root",${json.slice(1)}`), 'malformed'],
  'duplicate name, nested': [hmac(HEADER, `{"x":[{"a":1,"a":2}],${json.slice(1)}`), 'malformed'],
  '__proto__ in the payload': [hmac(HEADER, `{"__proto__":{"admin":true},${json.slice(1)}`), 'malformed'],
  'payload not UTF-8': [hmac(HEADER, Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), 'malformed'],
  'payload with overlong UTF-8': [
    hmac(HEADER, Buffer.concat([Buffer.from('{"x":"'), Buffer.from([0xc0, 0xaf]), Buffer.from(`",${json.slice(1)}`)])),
    'malformed',
  ],
  'payload with a byte order mark': [hmac(HEADER, `\ufeff${json}`), 'malformed'],
  'payload a list': [hmac(HEADER, '[]'), 'malformed'],
  'payload a string': [hmac(HEADER, '"sub"'), 'malformed'],
  'payload null': [hmac(HEADER, 'null'), 'malformed'],
  'payload nested deeply': [hmac(HEADER, `{"x":${'['.repeat(2_000)}${']'.repeat(2_000)},${json.slice(1)}`), 'malformed'],
  'payload with a trailing comma': [hmac(HEADER, `${json.slice(0, -1)},}`), 'malformed'],
  oversized: [forged({ fill: 'x'.repeat(9_000) }), 'too_long'],
  'kid a path': [forged({}, { kid: '../../etc/passwd' }), 'unknown_key'],
  'kid SQL': [forged({}, { kid: "' or 1=1 --" }), 'unknown_key'],
  'kid a URL': [forged({}, { kid: trap }), 'unknown_key'],
  'kid long': [forged({}, { kid: 'k'.repeat(65) }), 'unknown_key'],
  'kid of 5 KB': [forged({}, { kid: 'k'.repeat(5_000) }), 'unknown_key'],
  'kid of 10 KB': [forged({}, { kid: 'k'.repeat(10_000) }), 'too_long'],
  'kid a number': [forged({}, { kid: 1 }), 'unknown_key'],
  'kid empty': [forged({}, { kid: '' }), 'unknown_key'],
  jku: [forged({}, { jku: trap }), 'header'],
  x5u: [forged({}, { x5u: trap }), 'header'],
  jwk: [forged({}, { jwk: { kty: 'oct', k: Buffer.from(SECRET).toString('base64url') } }), 'header'],
  x5c: [forged({}, { x5c: ['MIIB'] }), 'header'],
  'crit unknown': [forged({}, { crit: ['exp'], exp: 1 }), 'header'],
  'crit empty': [forged({}, { crit: [] }), 'header'],
  'b64 false': [hmac({ ...HEADER, b64: false, crit: ['b64'] }, CLAIMS), 'header'],
  'b64 true': [forged({}, { b64: true }), 'header'],
  zip: [forged({}, { zip: 'DEF' }), 'header'],
  'typ missing': [forged({}, { typ: undefined }), 'type'],
  'typ JWT': [forged({}, { typ: 'JWT' }), 'type'],
  'typ of a logout token': [forged({}, { typ: 'logout+jwt' }), 'type'],
  'typ a number': [forged({}, { typ: 1 }), 'type'],
  expired: [forged({ exp: NOW_SECONDS - 6 }), 'expired'],
  'exp negative': [forged({ exp: -1 }), 'expired'],
  'exp zero': [forged({ exp: 0 }), 'expired'],
  'exp missing': [without('exp'), 'claims'],
  'exp a string': [forged({ exp: String(NOW_SECONDS + 600) }), 'claims'],
  'exp null': [forged({ exp: null }), 'claims'],
  'exp 1e400': [hmac(HEADER, json.replace(/"exp":\d+/, '"exp":1e400')), 'malformed'],
  'exp a fraction': [forged({ exp: NOW_SECONDS + 600.5 }), 'claims'],
  'exp in milliseconds': [forged({ exp: (NOW_SECONDS + 600) * 1_000 }), 'lives_too_long'],
  'exp in two days': [forged({ exp: NOW_SECONDS + 2 * 86_400 }), 'lives_too_long'],
  'nbf in the future': [forged({ nbf: NOW_SECONDS + 60 }), 'not_yet_valid'],
  'nbf a string': [forged({ nbf: '0' }), 'claims'],
  'iat in the future': [forged({ iat: NOW_SECONDS + 60 }), 'not_yet_valid'],
  'iat 1e400': [hmac(HEADER, `{"iat":1e400,${json.slice(1)}`), 'malformed'],
  'iss missing': [without('iss'), 'issuer'],
  'iss wrong': [forged({ iss: `${ISSUER}/` }), 'issuer'],
  'iss a list': [forged({ iss: [ISSUER] }), 'issuer'],
  'iss an object that cannot become text': [forged({ iss: { toString: 1, valueOf: 1 } }), 'issuer'],
  'iss __proto__': [forged({ iss: '__proto__' }), 'issuer'],
  'aud missing': [without('aud'), 'audience'],
  'aud wrong': [forged({ aud: 'orders-api' }), 'audience'],
  'aud a longer name': [forged({ aud: `${AUDIENCE}-2` }), 'audience'],
  'aud a list without ours': [forged({ aud: ['a', 'b'] }), 'audience'],
  'aud a list with something else in it': [forged({ aud: [AUDIENCE, 1] }), 'audience'],
  'aud an empty list': [forged({ aud: [] }), 'audience'],
  'aud an object': [forged({ aud: { [AUDIENCE]: true } }), 'audience'],
  'sub missing': [without('sub'), 'claims'],
  'sub empty': [forged({ sub: '' }), 'claims'],
  'sub a number': [forged({ sub: 1 }), 'claims'],
  'sub too long': [forged({ sub: 's'.repeat(256) }), 'claims'],
  'jti a number': [forged({ jti: 1 }), 'claims'],
  'jti too long': [forged({ jti: 'j'.repeat(256) }), 'claims'],
  'sub an object that cannot become text': [forged({ sub: { toString: 1 } }), 'claims'],
  'scope a list': [forged({ scope: ['users:read'] }), 'claims'],
  'username an object': [forged({ username: {} }), 'claims'],
}

let app: FastifyInstance
const events: AuthEvent[] = []
let trapped = 0
const listener = createServer((_request, response) => {
  trapped++
  response.end('{"keys":[]}')
})

before(async () => {
  listener.listen(0, '127.0.0.1')
  const clock = new ManualClock()
  const verifier = createVerifier({
    clock,
    onEvent: (event) => events.push(event),
    issuers: [
      { issuer: ISSUER, audience: AUDIENCE, key: { secret: SECRET } },
      { issuer: RSA_ISSUER, audience: AUDIENCE, key: { publicKey: pem(rsa.publicKey) } },
      { issuer: EC_ISSUER, audience: AUDIENCE, key: { publicKey: p256.publicKey.export({ format: 'jwk' }) as JWK } },
    ],
  })
  app = fastify()
  await app.register(auth, { verifier, onEvent: (event) => events.push(event) })
  app.get('/protected', { auth: 'any' }, async (request) => ({ sub: request.principal?.sub }))
  app.get('/open', { auth: false }, async (request) => ({ principal: request.principal }))
  await app.listen({ port: 0, host: '127.0.0.1' })
})
after(async () => {
  await app.close()
  listener.close()
  listener.closeAllConnections()
})

const send = (authorization: string | undefined, url = '/protected') =>
  app.inject({ url, headers: authorization === undefined ? {} : { authorization } })

test('the tokens that the table below spoils are good', async () => {
  const good = [
    forged(),
    signed({ ...HEADER, alg: 'RS256' }, rsaClaims, rsa.privateKey),
    signed({ ...HEADER, alg: 'ES256' }, ecClaims, p256.privateKey),
    forged({}, { typ: 'application/at+jwt' }),
    forged({}, { typ: 'AT+JWT' }),
    forged({}, { kid: 'any-1', x5t: 'abc' }),
    forged({ aud: ['other', AUDIENCE] }),
    forged({ sub: 's'.repeat(255), jti: 'j'.repeat(255), nbf: NOW_SECONDS - 1.5, iat: NOW_SECONDS }),
  ]
  for (const token of good) {
    const response = await send(`Bearer ${token}`)
    assert.equal(response.statusCode, 200, response.body)
  }
})

for (const [name, [token, reason]] of Object.entries(HOSTILE)) {
  test(`refused: ${name}`, async () => {
    events.length = 0
    const response = await send(`Bearer ${token.replace('TRAP', String((listener.address() as AddressInfo).port))}`)
    assert.equal(response.statusCode, 401)
    assert.equal(response.headers['www-authenticate'], 'Bearer error="invalid_token"')
    assert.ok(!response.body.includes(token) && !response.body.includes(reason), response.body)
    assert.deepEqual(events, [{ type: 'token.refused', source: 'auth', reason }])
  })
}

test('no token ever caused a request to a place that it named', () => assert.equal(trapped, 0))

test('without a bearer token the challenge names no error', async () => {
  const good = forged()
  for (const authorization of [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'Basic YTpi',
    `Token ${good}`,
    `Bearer${good}`,
    good,
    `DPoP ${good}`,
  ]) {
    const response = await send(authorization)
    assert.equal(response.statusCode, 401, String(authorization))
    assert.equal(response.headers['www-authenticate'], 'Bearer', String(authorization))
  }
})

test('the name of the scheme ignores case, as RFC 9110 has it; the token does not become better by it', async () => {
  for (const scheme of ['bearer', 'BEARER', 'bEaReR  ']) {
    assert.equal((await send(`${scheme} ${forged()}`)).statusCode, 200)
    assert.equal((await send(`${scheme} ${forged({ exp: 1 })}`)).statusCode, 401)
  }
})

test('a token is taken from the Authorization header only', async () => {
  const token = forged()
  for (const url of [`/protected?access_token=${token}`, `/protected?authorization=Bearer%20${token}`]) {
    assert.equal((await send(undefined, url)).statusCode, 401)
  }
  const headers = {
    'x-user-id': 'root',
    'x-access-token': token,
    cookie: `access_token=${token}`,
    'proxy-authorization': `Bearer ${token}`,
  }
  assert.equal((await app.inject({ url: '/protected', headers })).statusCode, 401)
})

test('two Authorization headers are refused, whichever is good', async () => {
  const { port } = app.server.address() as AddressInfo
  for (const pair of [
    [`Bearer ${forged()}`, 'Bearer x'],
    ['Basic YTpi', `Bearer ${forged()}`],
    [`Bearer ${forged()}`, `Bearer ${forged()}`],
  ]) {
    const socket = connect(port, '127.0.0.1')
    socket.end(
      `GET /protected HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: ${pair[0]}\r\nauthorization: ${pair[1]}\r\n\r\n`,
    )
    const answer = await text(socket)
    assert.match(answer, /^HTTP\/1\.1 401 /)
    assert.match(answer, /www-authenticate: Bearer error="invalid_token"/)
  }
})

test('a public route ignores tokens, good and bad', async () => {
  for (const authorization of [`Bearer ${forged()}`, 'Bearer nonsense']) {
    const response = await send(authorization, '/open')
    assert.deepEqual([response.statusCode, response.json()], [200, { principal: null }])
  }
})
