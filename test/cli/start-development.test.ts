/** `keelson start --development` in a folder of its own, with the Postgres that it brings along: what it says and what it leaves. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { after, describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isEmbeddedPostgresAvailable } from '../../src/embedded/index.ts'
import { keelson, spawnKeelson, temporaryFolder, USERS, type Variables } from '../support/command.ts'
import { allGone, descendantsOf, runningProcesses } from '../support/processes.ts'
import { startService, takenPort, type RunningService } from '../support/running-service.ts'
import { createUser, readUser, type User } from '../support/users.ts'
import { eventually, timed } from '../support/waiting.ts'

const EMBEDDED = { skip: isEmbeddedPostgresAvailable() ? false : 'no embedded Postgres for this platform' }

/** How long workers and Postgres may outlive an arbiter that was killed, in milliseconds; two seconds on an idle machine. */
const ORPHANS_GONE_MS = 15_000

const ANY_PORTS: Variables = { HOST: '127.0.0.1', KEELSON_ADMIN_HOST: '127.0.0.1', KEELSON_ADMIN_PORT: '0' }

describe('keelson start --development, with the Postgres that it brings along', EMBEDDED, () => {
  const folder = temporaryFolder()
  after(() => folder[Symbol.dispose]())
  const here = { mode: 'development', database: 'embedded', folder: folder.path } as const
  let user: User | undefined

  it('in an empty folder: the banner has all there is to know, and the line it prints works when pasted', async (t) => {
    const [ms, service] = await timed(() => startService(here))
    await using _service = service
    t.diagnostic(`first start: ready after ${ms} ms`)
    assertBanner(service)
    const line = /^curl .*$/m.exec(service.stdout)?.[0] ?? ''
    assert.deepEqual(JSON.parse(await answerToLine(line)), { items: [], nextCursor: null })
    assert.match(service.stderr, /creating the database cluster/)

    await service.workersReady(2)
    user = await createAda(service)
    await assertRefusedAsInUse(service)
    await assertInterruptLeavesNothing(t, service)
  })

  it('again in the same folder: the same data; and when the arbiter is killed, nothing is left and nothing lost', async (t) => {
    const [ms, service] = await timed(() => startService(here))
    await using _service = service
    t.diagnostic(`second start: ready after ${ms} ms`)
    await assertKnows(service, user!)
    await service.workersReady(2)
    const family = descendantsOf(service.pid)
    assert.ok(family.some(({ command }) => command.includes('postgres')))
    assert.equal(family.filter(({ command }) => command.includes('cli/worker.')).length, 2)
    process.kill(service.pid, 'SIGKILL')
    const [goneMs] = await timed(() => allGone(family, ORPHANS_GONE_MS))
    t.diagnostic(`after kill -9 of the arbiter: ${family.length} processes gone within ${goneMs} ms`)

    await using next = await startService(here)
    await assertKnows(next, user!)
    assert.equal(await next.stop('SIGTERM'), 0)
  })

  it('Ctrl-C while the first start still makes the cluster gives up, and leaves nothing', async () => {
    using fresh = temporaryFolder()
    const child = spawnKeelson(['start', '--development', USERS], { env: { ...ANY_PORTS, PORT: '0' }, folder: fresh.path })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (said += text))
    const closed = once(child, 'close')
    await eventually('initdb', () => said.includes('creating the database cluster'), { everyMs: 5 })
    const family = descendantsOf(child.pid!)
    child.kill('SIGINT')
    assert.deepEqual(await closed, [130, null], said)
    assert.doesNotMatch(said, /keelson:|^ +at /m)
    await allGone(family, 1_000)
    assertNobodyIn(fresh.path)
  })

  it('when the admin port is in use, Postgres ends too', async () => {
    await using taken = await takenPort()
    const env = { ...ANY_PORTS, PORT: '0', KEELSON_ADMIN_PORT: String(taken.port) }
    const { status, stdout, stderr } = await keelson(['start', '--development', USERS], { env, folder: folder.path })
    assert.equal(status, 1)
    assert.equal(stdout, '')
    assert.match(stderr, new RegExp(`^keelson: .*127\\.0\\.0\\.1:${taken.port}.*$`, 'm'))
    assertNobodyIn(folder.path)
  })
})

function assertNobodyIn(folder: string): void {
  assert.deepEqual(
    runningProcesses().filter(({ command }) => command.includes(folder)),
    [],
  )
}

function assertBanner({ stdout, url, adminUrl }: RunningService): void {
  assert.match(stdout, /^users 1\.0\.0 is ready: development, 2 workers, \d+\.\d s$/m)
  assert.match(stdout, new RegExp(`^ +service +${url}$`, 'm'))
  assert.match(stdout, new RegExp(`^ +docs +${url}/docs$`, 'm'))
  assert.match(stdout, new RegExp(`^ +admin +${adminUrl}/readyz +/livez +/metrics +/info$`, 'm'))
  assert.match(stdout, /^ +postgres +embedded \d+\.\d+, data in \.keelson\/postgres$/m)
  assert.match(stdout, /^ +redis +none: /m)
  assert.match(stdout, /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/m)
}

/** What the line prints when a shell runs it; where there is no curl, what the request it means brings back. */
async function answerToLine(line: string): Promise<string> {
  const { status, stdout, error } = spawnSync('sh', ['-c', `command -v curl >/dev/null || exit 127; ${line}`], {
    encoding: 'utf8',
  })
  if (!error && status !== 127) return stdout
  const [, url = '', authorization = ''] = /^curl -s (\S+) -H "Authorization: ([^"]+)"$/.exec(line) ?? []
  return await (await fetch(url, { headers: { authorization } })).text()
}

async function createAda(service: RunningService): Promise<User> {
  using client = service.client()
  return await createUser(client)
}

async function assertKnows(service: RunningService, user: User): Promise<void> {
  using client = service.client()
  assert.deepEqual(await readUser(client, user.id), user)
}

async function assertRefusedAsInUse({ folder, pid }: RunningService): Promise<void> {
  const env = { ...ANY_PORTS, PORT: '0' }
  const { status, stdout, stderr } = await keelson(['start', '--development', USERS], { env, folder })
  assert.equal(status, 1)
  assert.equal(stdout, '')
  assert.match(stderr, new RegExp(`^keelson: .*\\.keelson/postgres is already in use by process ${pid} \\(.*start.*\\).*$`, 'm'))
}

/** npm forwards the signal that the terminal has sent to its child as well, so one Ctrl-C arrives twice. */
async function assertInterruptLeavesNothing(t: TestContext, service: RunningService): Promise<void> {
  const family = descendantsOf(service.pid)
  assert.ok(family.some(({ command }) => command.includes('postgres')))
  assert.equal(family.filter(({ command }) => command.includes('cli/worker.')).length, 2)
  process.kill(service.pid, 'SIGINT')
  const again = sleep(3).then(() => process.kill(service.pid, 'SIGINT'))
  const [ms, status] = await timed(() => service.exited)
  await again.catch(() => {})
  assert.equal(status, 0)
  await allGone(family, 1_000)
  t.diagnostic(`Ctrl-C: ${family.length + 1} processes gone within ${ms} ms`)
  assert.doesNotMatch(service.stdout + service.stderr, /"level":"(warn|error)"|Error/)
}
