/** Clients that keep a connection busy by doing next to nothing: each is sent away in time, with one answer. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Answer } from '../http/border-harness.ts'
import { eventually, timed } from '../support/waiting.ts'
import { checkProblem, request, Target, type Parts } from './hostile-service.ts'

const LIMIT_MS = 1_000
/** How often Node looks for requests that are late, and what a busy machine adds. */
const LATE_MS = 2_000 + 4_000

const body = JSON.stringify({ email: 'eve@example.com', name: 'Eve', username: 'eve' })
const withoutBody = (parts: Parts = {}): string =>
  request('POST', '/api/users', { body, ...parts })
    .toString()
    .slice(0, -body.length)
const inDrops = (text: string): string[] => text.slice(0, 60).split('')

const SLOW: Readonly<Record<string, readonly string[]>> = {
  'half a request line': ['GET /prot'],
  'half a header': [withoutBody().slice(0, -10)],
  'headers in drops': inDrops(withoutBody()),
  'headers, and nothing more': [withoutBody()],
  'a body in drops': [withoutBody(), ...inDrops(' '.repeat(60))],
  'one good request, and half of the next': [request('GET', '/protected', { more: true }).toString(), 'GET /prot'],
}

let target: Target
before(async () => {
  target = await Target.start({ REQUEST_TIMEOUT_MS: String(LIMIT_MS) })
})
after(async () => target[Symbol.asyncDispose]())

async function sendSlowly(pieces: readonly string[]): Promise<readonly Answer[]> {
  const [ms, answers] = await timed(() => target.converse(...pieces))
  assert.ok(ms < LIMIT_MS + LATE_MS, `${ms} ms`)
  return answers
}

describe('slow clients', { concurrency: true }, () => {
  for (const [what, pieces] of Object.entries(SLOW)) {
    test(`${what}: 408`, async (t) => {
      const answers = await sendSlowly(pieces)
      const last = answers.at(-1)!
      t.diagnostic(`slow: ${what} → ${last.status} KEELSON_REQUEST_TIMEOUT`)
      assert.equal(last.status, 408)
      checkProblem(last, 'KEELSON_REQUEST_TIMEOUT')
      assert.equal(answers.length, what.startsWith('one good') ? 2 : 1)
    })
  }

  test('a request that was refused before its body came gets no second answer', async () => {
    const answers = await sendSlowly([withoutBody({ bearer: '', more: true })])
    assert.deepEqual(
      answers.map(({ status }) => status),
      [401],
    )
  })

  test('the log has the address of a client that has left', async () => {
    const requestId = 'left-in-the-middle'
    await target.abandon(withoutBody({ headers: `X-Request-Id: ${requestId}\r\n` }))
    const line = await eventually('its line', () => target.logs.find((one) => one['requestId'] === requestId))
    assert.equal(line['remoteAddress'], '127.0.0.1')
  })
})

test('afterwards good requests are served', () => target.checkServes())
