/** `keelson start` as a real process: one process or more, and how it refuses. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { keelson, USERS, type Variables } from '../support/command.ts'
import { descendantsOf } from '../support/processes.ts'
import { startService, takenPort, type RunningService } from '../support/running-service.ts'
import { createUser, readUser } from '../support/users.ts'
import { eventually } from '../support/waiting.ts'

describe('keelson start', () => {
  it('--single is one process with the same probes and the same drain', async () => {
    await using service = await startService({ single: true, env: { DRAIN_DELAY_MS: '0' } })
    assert.deepEqual(await service.workersReady(1), [service.pid])
    for (const probe of ['livez', 'readyz', 'startupz'] as const) {
      assert.deepEqual(await service.probe(probe), { status: 200, body: { status: 'ok', reasons: [], degraded: [] } })
    }
    await assertServes(service)
    await eventually('the metrics of both requests', async () =>
      /^http_requests_total\{method="GET",route="\/api\/users\/:id",status="200"\} 1$/m.test(await service.metrics()),
    )
    assert.deepEqual(descendantsOf(service.pid), [])
    assert.equal(await service.stop(), 0)
  })

  it('without its settings exits with 78 and lists every problem, its own and the service’s', async () => {
    const { status, stdout, stderr } = await keelson(['start', USERS], { env: { ...ANY_PORTS, USERS_PAGE_SIZE: 'abc' } })
    assert.equal(status, 78)
    for (const name of ['JWT_SECRET', 'JWT_ISSUER', 'JWT_AUDIENCE', 'DATABASE_URL', 'USERS_PAGE_SIZE']) {
      assert.equal((stdout + stderr).split(name).length > 1, true, `${name} in: ${stdout}${stderr}`)
    }
  })

  it('with wrong settings exits with 78, lists every problem, and prints no secret', async () => {
    const env = {
      ...ANY_PORTS,
      PORT: 'seven',
      WORKERS: '0',
      JWT_SECRET: 'geheim-aber-kurz',
      DATABASE_URL: 'mysql://root:sesam@127.0.0.1/users',
      DATABSE_URL: 'postgres://root:sesam@127.0.0.1/users',
      USERS_PAGE_SIZE: '0',
    }
    const { status, stdout, stderr } = await keelson(['start', USERS], { env })
    assert.equal(status, 78)
    assert.equal(stdout, '')
    const problems = stderr.split('\n').filter((line) => line.startsWith('  '))
    const wanted = [...Object.keys(env).slice(3), 'PORT', 'WORKERS', 'JWT_ISSUER', 'JWT_AUDIENCE']
    for (const name of wanted)
      assert.equal(problems.filter((line) => line.startsWith(`  ${name}`)).length, 1, `${name} in: ${stderr}`)
    assert.match(stderr, /DATABSE_URL is not a setting; did you mean DATABASE_URL\?/)
    assert.doesNotMatch(stderr, /geheim|sesam/)
  })

  for (const variable of ['PORT', 'KEELSON_ADMIN_PORT']) {
    it(`says that ${variable} is in use, and what to do`, async () => {
      await using taken = await takenPort()
      const { port } = taken
      const { status, stdout, stderr } = await keelson(['start', USERS], { env: { ...complete(), [variable]: String(port) } })
      assert.equal(status, 1)
      assert.equal(stdout, '')
      assert.match(stderr, new RegExp(`^keelson: .*127\\.0\\.0\\.1:${port}.*\\n.*${variable}.*\\n$`))
    })
  }
})

async function assertServes(service: RunningService): Promise<void> {
  using client = service.client()
  const user = await createUser(client)
  assert.deepEqual(await readUser(client, user.id), user)
}

const ANY_PORTS: Variables = { HOST: '127.0.0.1', KEELSON_ADMIN_HOST: '127.0.0.1', KEELSON_ADMIN_PORT: '0' }

function complete(): Variables {
  return {
    ...ANY_PORTS,
    PORT: '0',
    DATABASE_URL: 'postgres://127.0.0.1:1/nowhere',
    JWT_SECRET: randomBytes(32).toString('base64url'),
    JWT_ISSUER: 'test',
    JWT_AUDIENCE: 'test',
  }
}
