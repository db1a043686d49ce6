/** What a whole process writes while it is attacked: lines of JSON, with nothing in them that was meant for a terminal or a parser. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AUDIENCE, ISSUER, SECRET } from '../http/auth-forge.ts'
import { startService } from '../support/running-service.ts'
import { eventually } from '../support/waiting.ts'
import { converse, request, token } from './hostile-service.ts'

/** Begins a line of its own, colours it, turns its direction round, ends it for JavaScript, and closes JSON. */
const EVIL = 'eve\n{"level":"fatal"}\r\u001b[31m\u009b31m\u202eeve\u2028\u2029\ufeff"}'
/** As much of it as one line of a request can hold. */
const EVIL_LINE = EVIL.replaceAll(/[\r\n]/g, '')
const CONTROL = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/u

const MISPLACED = token({ sub: 'misplaced' })

const ATTACKS: readonly Buffer[] = [
  request('GET', '/protected', { bearer: token({ sub: EVIL, username: EVIL }) }),
  request('GET', '/protected', { headers: `User-Agent: ${EVIL_LINE}\r\n` }),
  request('GET', `/${encodeURIComponent(EVIL)}`),
  request('GET', `/${EVIL_LINE}`),
  request('GET', '/protected', { headers: 'X-Request-Id: \u009b31m-red-from-here-on\r\n' }),
  request('GET', '/protected', { headers: 'X-Forwarded-For: \u202e10.0.0.1\r\n' }),
  request('POST', '/api/users', { body: JSON.stringify({ email: EVIL, name: EVIL, username: EVIL }) }),
  request('POST', '/api/users', { body: `{"${EVIL.replaceAll(/["\p{Cc}]/gu, '')}":1}` }),
  request('GET', `/${MISPLACED}`),
  request('GET', `/api/users?limit=1&access_token=${MISPLACED}`),
  request('GET', '/protected', { bearer: `${MISPLACED}x` }),
]

test('lines of JSON without control characters, tokens and secrets, one for each request', async () => {
  const env = { JWT_SECRET: SECRET, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE, DRAIN_DELAY_MS: '0' }
  await using service = await startService({ single: true, env })
  const port = Number(new URL(service.url).port)
  const ids: string[] = []
  for (const attack of ATTACKS) {
    const [answer] = await converse(port, attack)
    assert.ok(answer!.status < 500, answer!.text)
    const id = answer!.headers['x-request-id']
    if (id) ids.push(id)
  }
  const linesOf = (id: string): number =>
    service.logs().filter((line) => line['requestId'] === id && line.msg === 'request').length
  await eventually('the last line', () => linesOf(ids.at(-1)!) > 0)
  assert.equal(await service.stop(), 0)

  for (const id of ids) assert.equal(linesOf(id), 1, id)
  assert.ok(service.logs().some((line) => line['principal'] === EVIL))
  const written = service.stdout + service.stderr
  assert.doesNotMatch(written, CONTROL)
  assert.doesNotMatch(written, /eyJ[\w-]{5,}\.[\w-]/)
  assert.ok(!written.includes(SECRET))
  for (const line of service.stdout.trimEnd().split('\n')) assert.equal(typeof JSON.parse(line), 'object')
  assert.doesNotMatch(written, /"level":"(error|fatal)"/)
})
