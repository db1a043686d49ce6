/** Tokens that must not open anything: forged, stale, meant for others, or put where none belongs. */
import { generateKeyPairSync } from 'node:crypto'
import { encode, HEADER, hmac, SECRET } from '../http/auth-forge.ts'
import { claimsWith, refused, request, token, type HostileCase } from './hostile-service.ts'

const LIST = '/api/users?limit=1'
const now = Math.floor(Date.now() / 1_000)
const good = token()
const [goodHeader, goodPayload, goodSignature] = good.split('.') as [string, string, string]
const json = JSON.stringify(claimsWith({}))
const publicKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' }) as string

/** Another text for the same bytes: the last character's unused bits set. */
function withStrayBits(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return text.slice(0, -1) + alphabet[alphabet.indexOf(text.at(-1)!) + 1]!
}

const bad = (what: string, bearer: string): HostileCase =>
  refused(what, request('GET', LIST, { bearer }), 401, 'KEELSON_UNAUTHENTICATED')

const elsewhere = (what: string, headers: string, target = LIST): HostileCase =>
  refused(what, request('GET', target, { bearer: '', headers }), 401, 'KEELSON_UNAUTHENTICATED')

const weak = (what: string, scope: string | undefined): HostileCase =>
  refused(what, request('GET', LIST, { bearer: token({ scope }) }), 403, 'KEELSON_FORBIDDEN')

export const TOKENS: readonly HostileCase[] = [
  elsewhere('no token', ''),
  elsewhere('a password', 'Authorization: Basic YWRhOnNlY3JldA==\r\n'),
  elsewhere('the word Bearer alone', 'Authorization: Bearer\r\n'),
  elsewhere('a good token in the query', '', `${LIST}&access_token=${good}`),
  elsewhere('a good token in a cookie', `Cookie: access_token=${good}\r\n`),
  elsewhere('a name in X-User-Id', 'X-User-Id: ada\r\n'),
  refused(
    'two Authorization headers',
    request('GET', LIST, { headers: `Authorization: Bearer ${good}\r\n` }),
    400,
    'KEELSON_REQUEST_MALFORMED',
  ),

  bad('alg none, unsigned', `${encode({ alg: 'none', typ: 'at+jwt' })}.${goodPayload}.`),
  bad('alg none, signed', token({}, { alg: 'none' })),
  bad('HS512 with the same secret', hmac({ ...HEADER, alg: 'HS512' }, claimsWith({}), SECRET, 'sha512')),
  bad('RS256, signed with the public key as a secret', hmac({ ...HEADER, alg: 'RS256' }, claimsWith({}), publicKey)),
  bad('another secret', hmac(HEADER, claimsWith({}), 'another secret of thirty-two byte')),
  bad('the payload exchanged', `${goodHeader}.${encode(claimsWith({ sub: 'root' }))}.${goodSignature}`),
  bad('another spelling of the same signature', withStrayBits(good)),
  bad('a key of its own in the header', token({}, { jwk: { kty: 'oct', k: Buffer.from(SECRET).toString('base64url') } })),
  bad('a place for keys in the header', token({}, { jku: 'https://evil.example/keys' })),
  bad('a path as key id', token({}, { kid: '../../../dev/null' })),
  bad('an unknown critical header', token({}, { crit: ['exp'], exp: 1 })),

  bad('expired', token({ exp: now - 60 })),
  bad('without an end', token({ exp: undefined })),
  bad('an end in words', token({ exp: String(now + 600) })),
  bad('an end beyond all numbers', hmac(HEADER, json.replace(/"exp":\d+/, '"exp":1e400'))),
  bad('good for two days', token({ exp: now + 2 * 86_400 })),
  bad('not yet valid', token({ nbf: now + 600 })),
  bad('of another issuer', token({ iss: 'https://evil.example' })),
  bad('for another service', token({ aud: 'orders-api' })),
  bad('an identity token', token({}, { typ: 'JWT' })),
  bad('nobody’s', token({ sub: '' })),
  bad('scopes in a list', token({ scope: ['users:read'] })),

  bad('the same claim twice', hmac(HEADER, `{"sub":"root",${json.slice(1)}`)),
  bad('__proto__ among the claims', hmac(HEADER, `{"__proto__":{"scopes":[]},${json.slice(1)}`)),
  bad('claims that are not UTF-8', hmac(HEADER, Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))),
  bad('claims nested 2,000 deep', hmac(HEADER, `{"x":${'['.repeat(2_000)}${']'.repeat(2_000)},${json.slice(1)}`)),
  bad('9 KB long', token({ fill: 'x'.repeat(9_000) })),
  bad('five parts, encrypted', `${encode({ alg: 'dir', enc: 'A256GCM' })}..AAAA.AAAA.AAAA`),

  weak('no scope', undefined),
  weak('every scope by a star', '*'),
  weak('a scope that begins like the right one', 'users:reader users:rea'),
  weak('the right scope in other letters', 'USERS:READ'),
]
