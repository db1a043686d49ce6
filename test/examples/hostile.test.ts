/**
 * The users service and somebody who means it harm. Whatever comes, the answer is a problem document with all security
 * headers and one line in the log; never a 5xx, a hang or a crash, and the next good request is served.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { SECRET } from '../http/auth-forge.ts'
import { BODIES } from './hostile-bodies.ts'
import { conditionsOn, IDS, QUERIES } from './hostile-queries.ts'
import { REQUEST_FRAMING, REQUEST_HEADERS, REQUEST_LINES } from './hostile-requests.ts'
import { request, Target, type HostileCase } from './hostile-service.ts'
import { TOKENS } from './hostile-tokens.ts'

const GROUPS: Readonly<Record<string, readonly HostileCase[]>> = {
  token: TOKENS,
  body: BODIES,
  'request line': REQUEST_LINES,
  header: REQUEST_HEADERS,
  framing: REQUEST_FRAMING,
  query: QUERIES,
  id: IDS,
}

let target: Target
const table: string[] = []
before(async () => {
  target = await Target.start()
})
after(async () => target[Symbol.asyncDispose]())

async function tryCase(group: string, one: HostileCase): Promise<void> {
  const answer = await target.check(one)
  table.push(`${group}: ${one.what} → ${answer.status}${one.code ? ` ${one.code}` : ''}`)
  const challenge = answer.headers['www-authenticate']
  if (answer.status === 401) assert.match(String(challenge), /^Bearer( error="invalid_token")?$/)
  if (answer.status === 403) assert.equal(challenge, 'Bearer error="insufficient_scope", scope="users:read"')
  if (answer.status === 405) assert.match(String(answer.headers['allow']), /^[A-Z, ]+$/)
  assert.equal(answer.headers['access-control-allow-origin'], undefined)
}

for (const [group, cases] of Object.entries(GROUPS)) {
  describe(group, () => {
    for (const one of cases) test(`${one.what}: ${one.status}`, () => tryCase(group, one))
  })
}

test('conditions on a user in its second version', async (t) => {
  const eve = JSON.stringify({ email: 'eve@example.com', name: 'Eve', username: 'eve' })
  const [created] = await target.converse(request('POST', '/api/users', { body: eve }))
  const path = created!.headers['location']!
  const change = request('PATCH', path, { headers: 'If-Match: "v1"\r\n', body: '{"name":"Eva"}' })
  assert.equal((await target.converse(change))[0]?.headers['etag'], '"v2"')
  for (const one of conditionsOn(path)) await t.test(`${one.what}: ${one.status}`, () => tryCase('condition', one))
  const [last] = await target.converse(request('GET', path))
  assert.equal((JSON.parse(last!.body) as { name: string }).name, 'Eva')
})

test('none of them created or changed a user', async () => {
  const [list] = await target.converse(request('GET', '/api/users'))
  const { items } = JSON.parse(list!.body) as { items: { name: string }[] }
  assert.deepEqual(
    items.map(({ name }) => name),
    ['Eva'],
  )
})

test('what parser and router refused is counted', () => target.checkRefusalsCounted())

test('no token and no secret is in the log', () => {
  const log = JSON.stringify(target.logs)
  assert.doesNotMatch(log, /eyJ[\w-]{5,}\.[\w-]/)
  assert.ok(!log.includes(SECRET))
})

test('the table', (t) => {
  for (const line of table) t.diagnostic(line)
  t.diagnostic(`${table.length} cases`)
})
