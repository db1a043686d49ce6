/** Thousands of users while Redis is stopped and continued: no request fails, no user is lost, no write is forgotten. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { redisForTests, seededRandom, type TestRedis } from '../../src/testing/index.ts'
import type { Answer, CallOptions, Client } from '../support/client.ts'
import { startService } from '../support/running-service.ts'
import { timed } from '../support/waiting.ts'
import type { NewUser, User } from '../support/users.ts'

const USERS = Number(process.env['KEELSON_TEST_USERS'] ?? 5_000)
const CONNECTIONS = 32
/** One user in so many is changed right after it was created, and another one in so many while all are read. */
const CHANGED_EVERY = 10
const PAGE_SIZE = 100

test(`${USERS} users through ${CONNECTIONS} connections while Redis is stopped and continued`, async (t) => {
  await using redis = await redisForTests({ own: true })
  await using service = await startService({ env: { REDIS_URL: redis.url } })
  const pids = await service.workersReady(2)
  using stack = new DisposableStack()
  const clients = Array.from({ length: CONNECTIONS }, () => stack.use(service.client()))
  const users = new Directory()

  const writing = await whileStopping(redis, async () => {
    await inParallel(clients, USERS, async (client, i) => {
      const id = await users.create(client, someone(i))
      if (i % CHANGED_EVERY === 0) await users.rename(client, id, `Changed ${i}`)
    })
  })
  t.diagnostic(`${users.size} written in ${writing.ms} ms, Redis stopped ${writing.stops} times; ${users.takeFigures()}`)
  assert.equal(users.size, USERS)

  const ids = users.ids()
  const [lister, ...readers] = clients
  const reading = await whileStopping(redis, async () => {
    const readAll = inParallel(readers, USERS, async (client, i) => {
      if (i % CHANGED_EVERY === 1) await users.rename(client, ids[i]!, `Changed while reading ${i}`)
      else await users.read(client, ids[i]!)
    })
    const [listed] = await Promise.all([users.listIds(lister!), readAll])
    assert.deepEqual(listed.toSorted(), ids.toSorted())
  })
  t.diagnostic(`${ids.length} read twice in ${reading.ms} ms, Redis stopped ${reading.stops} times; ${users.takeFigures()}`)
  assert.ok(writing.stops > 0 && reading.stops > 0)

  for (const pid of pids) {
    const client = stack.use(await service.clientOn(pid))
    for (const [i, id] of ids.entries()) if (i % CHANGED_EVERY < 2) await users.read(client, id)
  }
  t.diagnostic(`then every changed one on each worker; ${users.takeFigures()}`)
  assert.deepEqual(users.failures, [])
  const noticed = service.logs().filter(({ event }) => event === 'l2.opened')
  assert.ok(noticed.length > 0, 'Redis was missed, so it was in use')
})

function someone(i: number): NewUser {
  return { email: `user-${i}@example.com`, name: `User ${i}`, username: `user-${i}` }
}

interface Call extends CallOptions {
  readonly method: string
  readonly path: string
}

interface Page {
  readonly items: readonly User[]
  readonly nextCursor: string | null
}

/** What the service should know, and whether it does; failures are collected, so that one doesn't hide the rest. */
class Directory {
  readonly failures: string[] = []
  readonly #known = new Map<string, NewUser>()
  #calls = 0
  #longestMs = 0

  get size(): number {
    return this.#known.size
  }

  ids(): readonly string[] {
    return [...this.#known.keys()]
  }

  async create(client: Client, user: NewUser): Promise<string> {
    const answer = await this.#call(client, 201, { method: 'POST', path: '/api/users', body: user })
    const { id } = answer?.json<User>() ?? { id: `none for ${user.username}` }
    if (answer) this.#known.set(id, user)
    return id
  }

  /** Changes it, and reads it at once on the same connection, which is the same worker. */
  async rename(client: Client, id: string, name: string): Promise<void> {
    const answer = await this.#call(client, 200, {
      method: 'PATCH',
      path: `/api/users/${id}`,
      body: { name },
      headers: { 'if-match': '*' },
    })
    if (answer) this.#known.set(id, { ...this.#known.get(id)!, name })
    await this.read(client, id)
  }

  async read(client: Client, id: string): Promise<void> {
    const { email, name, username } =
      (await this.#call(client, 200, { method: 'GET', path: `/api/users/${id}` }))?.json<User>() ?? {}
    const [got, expected] = [{ email, name, username }, this.#known.get(id)].map((user) => JSON.stringify(user))
    if (got !== expected) this.failures.push(`${id} is ${got} instead of ${expected}`)
  }

  async listIds(client: Client): Promise<string[]> {
    const seen: string[] = []
    let cursor: string | null | undefined
    do {
      const path = `/api/users?limit=${PAGE_SIZE}${cursor ? `&cursor=${cursor}` : ''}`
      const answer = await this.#call(client, 200, { method: 'GET', path })
      const { items = [], nextCursor = null }: Partial<Page> = answer?.json<Page>() ?? {}
      seen.push(...items.map((user) => user.id))
      cursor = nextCursor
    } while (cursor)
    return seen
  }

  /** Since the last time. */
  takeFigures(): string {
    const text = `${this.#calls} requests, ${this.failures.length} failed, the longest took ${Math.round(this.#longestMs)} ms`
    this.#calls = this.#longestMs = 0
    return text
  }

  async #call(client: Client, status: number, { method, path, ...options }: Call): Promise<Answer | undefined> {
    this.#calls += 1
    const startedAt = performance.now()
    try {
      const answer = await client.call(method, path, options)
      if (answer.status === status) return answer
      this.failures.push(`${method} ${path}: ${answer.status} ${answer.body}`)
    } catch (error) {
      this.failures.push(`${method} ${path}: ${String(error)}`)
    } finally {
      this.#longestMs = Math.max(this.#longestMs, performance.now() - startedAt)
    }
    return undefined
  }
}

/** Each client takes the next of `count` when it is done with one. */
async function inParallel(
  clients: readonly Client[],
  count: number,
  work: (client: Client, i: number) => Promise<void>,
): Promise<void> {
  let next = 0
  await Promise.all(
    clients.map(async (client) => {
      while (next < count) await work(client, next++)
    }),
  )
}

/** Stops Redis where it stands for half a second or so, again and again, for as long as the work lasts. */
async function whileStopping(
  redis: TestRedis,
  work: () => Promise<void>,
): Promise<{ readonly ms: number; readonly stops: number }> {
  const random = seededRandom(USERS)
  const done = new AbortController()
  const pause = (): Promise<void> => sleep(150 + random() * 600, undefined, { signal: done.signal }).catch(() => {})
  async function disturb(): Promise<number> {
    let stops = 0
    for (; !done.signal.aborted; stops++) {
      redis.pause()
      await pause()
      redis.resume()
      await pause()
    }
    return stops
  }
  const disturbing = disturb()
  try {
    const [ms] = await timed(work)
    return { ms, stops: await ended() }
  } finally {
    await ended()
  }

  function ended(): Promise<number> {
    done.abort()
    return disturbing
  }
}
