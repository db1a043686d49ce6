/** A client that leaves, or whose time is up, leaves nothing behind in the database: no statement, no lost connection. */
import assert from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import pg from 'pg'
import users from '../../examples/users/service.ts'
import { caches, type CacheSnapshot } from '../../src/cache/snapshot.ts'
import { postgresForTests, testService, type TestPostgres, type TestService } from '../../src/testing/index.ts'
import { Client } from '../support/client.ts'
import { eventually } from '../support/waiting.ts'
import slow from './fixtures/slow.ts'

/** The promise is 50 ms; what is asserted leaves room for a machine that has other things to do. */
const GONE_WITHIN_MS = 1_000
const ROUNDS = 8

describe('a slow statement', () => {
  let running: Running

  before(async () => {
    running = await start(slow)
  })
  after(() => running[Symbol.asyncDispose]())

  for (const path of ['/statement', '/transaction']) {
    it(`is cancelled when the client of ${path} leaves; its connection serves the next request`, async (t) => {
      const backends = await running.backends()
      const took = await rounds(() => running.leaveDuring(path))
      report(t, took)
      await running.assertAllIdle(backends)
      assert.equal((await running.client.get('/count')).body, '{"count":0}')
      await eventually('its lines in the log', () => running.abandoned(path) === ROUNDS)
    })

    it(`is cancelled when the deadline of /limited${path} passes; the answer is a 504`, async (t) => {
      const backends = await running.backends()
      const took = await rounds(async () => {
        const answer = await running.client.get(`/limited${path}`)
        const answeredAt = performance.now()
        assert.equal(answer.status, 504, answer.body)
        assert.ok(answer.ms >= 300, `${answer.ms}`)
        await running.untilNothingRuns()
        return performance.now() - answeredAt
      })
      report(t, took)
      await running.assertAllIdle(backends)
      assert.equal((await running.client.get('/count')).body, '{"count":0}')
    })
  }

  it('goes on for the others who wait for the same cached load, and ends with the last of them', async (t) => {
    const backends = await running.backends()
    const [first, second] = [new AbortController(), new AbortController()]
    const leaving = [first, second].map(({ signal }) => running.call('/cached/shared/0.7', signal))
    const staying = [running.call('/cached/shared/0.7'), running.call('/cached/shared/0.7')]
    const left = Promise.all(leaving.map((call) => assert.rejects(call)))
    await eventually('all four to wait', () => cacheOf('slow').coalesced === 3)
    first.abort()
    second.abort()
    await left
    await eventually('both to be gone', () => running.abandoned('/cached/:key/:seconds') === 2)
    assert.deepEqual([cacheOf('slow').loads, cacheOf('slow').loadsInFlight], [1, 1])
    for (const answer of await Promise.all(staying)) assert.equal(answer.body, '{"value":"value of shared"}')
    assert.equal(cacheOf('slow').loads, 1)

    const took = await rounds((i) => running.leaveDuring(`/cached/alone-${i}/60`))
    report(t, took)
    await running.assertAllIdle(backends)
  })
})

it('the same in the reference service, whose users are read through the cache', async (t) => {
  await using running = await start(users)
  const authorization = await running.service.authorization({ scopes: ['users:read', 'users:write'] })
  const path = '/api/users/00000000-0000-7000-8000-000000000000'
  assert.equal((await running.client.get('/api/users', { headers: authorization })).status, 200)
  const backends = await running.backends()
  const lock = await running.lockUsers()
  await using _lock = lock
  for (const one of ['/api/users', path]) {
    const ms = Math.round(await running.leaveDuring(one, authorization))
    t.diagnostic(`${one}: nothing runs ${ms} ms after the client left`)
    assert.ok(ms < GONE_WITHIN_MS, `${one}: ${ms}`)
  }
  await lock[Symbol.asyncDispose]()
  await running.assertAllIdle(backends)
})

function cacheOf(name: string): CacheSnapshot {
  return caches.snapshots().find((one) => one.name === name)!
}

function report(t: TestContext, took: readonly number[]): void {
  const sorted = took.toSorted((a, b) => a - b).map(Math.round)
  t.diagnostic(
    `nothing runs ${sorted[sorted.length >> 1]} ms later in the median, ${sorted.at(-1)} ms at most, of ${sorted.length}`,
  )
  assert.ok(sorted.at(-1)! < GONE_WITHIN_MS, sorted.join(', '))
}

async function rounds(round: (i: number) => Promise<number>): Promise<readonly number[]> {
  const took: number[] = []
  for (let i = 0; i < ROUNDS; i++) took.push(await round(i))
  return took
}

async function start(service: Parameters<typeof testService>[0]): Promise<Running> {
  await using undo = new AsyncDisposableStack()
  const database = undo.use(await postgresForTests())
  const observer = new pg.Client({ connectionString: database.url })
  await observer.connect()
  undo.defer(() => observer.end())
  const running = undo.use(await testService(service, { env: { DATABASE_URL: database.url, DATABASE_POOL_TOTAL: '3' } }))
  const url = await running.listen()
  return new Running(running, { name: service.name, url, observer, database }, undo.move())
}

interface Surroundings {
  /** Of the service; its connections carry it. */
  readonly name: string
  readonly url: string
  readonly observer: pg.Client
  readonly database: TestPostgres
}

class Running implements AsyncDisposable {
  readonly service: TestService
  readonly client: Client
  readonly #name: string
  readonly #url: string
  readonly #observer: pg.Client
  readonly #database: TestPostgres
  readonly #undo: AsyncDisposableStack

  constructor(service: TestService, { name, url, observer, database }: Surroundings, undo: AsyncDisposableStack) {
    this.service = service
    this.client = undo.use(new Client(url))
    this.#name = name
    this.#url = url
    this.#observer = observer
    this.#database = database
    this.#undo = undo
  }

  /** On a connection of its own, which is gone with the client. */
  async call(path: string, signal?: AbortSignal, headers: Readonly<Record<string, string>> = {}): ReturnType<Client['get']> {
    using client = new Client(this.#url, headers)
    return await client.get(path, signal ? { signal } : {})
  }

  /** Leaves as soon as the statement runs; returns how long after that nothing of it runs any more, in milliseconds. */
  async leaveDuring(path: string, headers?: Readonly<Record<string, string>>): Promise<number> {
    const leaving = new AbortController()
    const answer = this.call(path, leaving.signal, headers)
    const left = assert.rejects(answer)
    await this.untilOneRuns()
    const leftAt = performance.now()
    leaving.abort()
    await this.untilNothingRuns()
    const ms = performance.now() - leftAt
    await left
    return ms
  }

  untilOneRuns(): Promise<unknown> {
    return eventually('the statement to run', async () => (await this.#active()) > 0, { everyMs: 2 })
  }

  untilNothingRuns(): Promise<unknown> {
    return eventually('the statement to end', async () => (await this.#active()) === 0, { everyMs: 2 })
  }

  /** Statements that run, or wait for a lock, or leave a transaction open, on connections of the service. */
  async #active(): Promise<number> {
    const { rows } = await this.#observer.query<{ count: number }>(
      `select count(*)::int from pg_stat_activity where datname = current_database() and application_name = $1
       and state <> 'idle' and query not like 'select 1%'`,
      [this.#name],
    )
    return rows[0]!.count
  }

  /** The server processes behind the pool. */
  async backends(): Promise<readonly number[]> {
    // As many at once as the pool has, so that it is full.
    await Promise.all(Array.from({ length: 3 }, () => this.service.app.db.ping()))
    return await this.#backends()
  }

  async #backends(): Promise<readonly number[]> {
    const { rows } = await this.#observer.query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = current_database() and application_name = $1 order by pid`,
      [this.#name],
    )
    return rows.map(({ pid }) => pid)
  }

  /** The very connections of before are back in the pool, and nobody waits. */
  async assertAllIdle(before: readonly number[]): Promise<void> {
    await eventually('an idle pool', () => {
      const { total, idle, waiting } = this.service.app.db.snapshot().pool
      return total === idle && waiting === 0
    })
    assert.deepEqual(await this.#backends(), before)
  }

  /** Requests of that route whose client has left, according to the log. */
  abandoned(route: string): number {
    return this.service.logs.filter((line) => line['route'] === route && line['status'] === 499).length
  }

  async lockUsers(): Promise<AsyncDisposable> {
    const holder = new pg.Client({ connectionString: this.#database.url, application_name: 'holder' })
    await holder.connect()
    await holder.query('begin; lock table users in access exclusive mode')
    let released: Promise<void> | undefined
    return { [Symbol.asyncDispose]: () => (released ??= holder.end()) }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#undo.disposeAsync()
  }
}
