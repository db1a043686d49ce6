/** `examples/users/tour.sh` against a service that listens: what it announces is what comes back. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import service from '../../examples/users/service.ts'
import { testService, type TestService } from '../../src/testing/index.ts'

const TOUR = fileURLToPath(new URL('../../examples/users/tour.sh', import.meta.url))
const missing = spawnSync('curl', ['--version']).error ? 'no curl on this machine' : false

async function tour(...args: readonly string[]): Promise<{ readonly status: number | null; readonly said: string }> {
  const child = spawn('sh', [TOUR, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  const [stdout, stderr, status] = await Promise.all([text(child.stdout), text(child.stderr), exited])
  return { status, said: stdout + stderr }
}

describe('the tour', { skip: missing }, () => {
  let users: TestService
  let url: string
  before(async () => {
    users = await testService(service)
    url = await users.listen()
  })
  after(async () => users[Symbol.asyncDispose]())

  async function token(...scopes: readonly string[]): Promise<string> {
    return (await users.authorization({ scopes })).authorization.slice('Bearer '.length)
  }

  test('goes as announced, on an empty database and again, and leaves nobody behind', async (t) => {
    const [all, none] = [await token('users:read', 'users:write'), await token()]
    for (const run of ['first', 'second']) {
      const { status, said } = await tour(`${url}/`, all, none)
      assert.equal(status, 0, said)
      t.diagnostic(`${run}: ${said.trimEnd().split('\n').at(-1)}`)
      assert.ok(!said.includes(all) && !said.includes(none))
      for (const shown of [
        '$ curl',
        '# expect 412',
        'HTTP/1.1 201 Created',
        'etag: "v2"',
        'rel="next"',
        'www-authenticate: Bearer',
      ]) {
        assert.ok(said.includes(shown), `${shown} in ${said}`)
      }
    }
    const left = await users.app.db.selectFrom('users').selectAll().execute()
    assert.deepEqual(left, [])
    assert.deepEqual(
      users.logs.filter((line) => line['level'] === 'error'),
      [],
    )
  })

  test('ends with 1 and a list where something is not as announced', async () => {
    const { status, said } = await tour(url, await token('users:read'))
    assert.equal(status, 1)
    assert.match(said, /^Not as announced:\n {2}POST http:\/\/\S+\/api\/users: 403 instead of 201$/m)
  })

  test('ends with 1 where nobody answers, and with 64 where it is not told whom to ask', async () => {
    assert.equal((await tour('http://127.0.0.1:1', 'token')).status, 1)
    assert.equal((await tour()).status, 64)
  })
})
