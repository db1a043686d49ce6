import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { TLSSocket } from 'node:tls'
import { sql } from 'kysely'
import { createDatabase, type Database, type PostgresEvent } from '../../src/postgres/index.ts'
import { createFaultProxy } from '../../src/testing/fault-proxy.ts'
import { seededRandom } from '../../src/testing/seeded-random.ts'
import { freshDatabase, observe, pause, scopeOf, serverOf, through, until, type FreshDatabase, type Observer } from './fixture.ts'

const GONE = new Error('the client has gone')

describe('when the scope ends', () => {
  let server: FreshDatabase
  let observer: Observer
  before(async () => {
    server = await freshDatabase()
    observer = await observe(server.url)
    await observer.query('create table counters (id int primary key, n int not null)')
    await observer.query('insert into counters values (1, 0)')
  })
  after(async () => {
    await observer[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  it('stops the running statement within 50 ms and keeps its connection', async () => {
    const events: PostgresEvent[] = []
    await using db = createDatabase({ url: server.url, max: 1, onEvent: (event) => events.push(event) })
    const tookMs: number[] = []
    for (let i = 0; i < 5; i++) {
      const controller = new AbortController()
      const sleeping = sql`select pg_sleep(4)`.execute(db.within(scopeOf(controller)))
      const refused = assert.rejects(sleeping, (error) => error === GONE)
      await until(async () => (await observer.running('pg_sleep(4)')) === 1)
      controller.abort(GONE)
      tookMs.push(await until(async () => (await observer.running('pg_sleep(4)')) === 0))
      await refused
    }
    // The middle of five, because the machine of a test may be busy with something else.
    assert.ok(tookMs.toSorted((a, b) => a - b)[2]! < 50, String(tookMs))
    await until(() => db.snapshot().pool.idle === 1)
    assert.equal(db.snapshot().pool.total, 1)
    assert.equal(db.snapshot().cancellations, 5)
    assert.equal(events.filter(({ type }) => type === 'statement.cancelled').length, 5)
    assert.ok(!events.some(({ type }) => type === 'connection.discarded'))
    await db.ping()
  })

  it('answers the caller at once, before the server has', async () => {
    await using db = createDatabase({ url: server.url })
    const controller = new AbortController()
    const sleeping = sql`select pg_sleep(4)`.execute(db.within(scopeOf(controller)))
    await pause(30)
    let answered = false
    sleeping.catch(() => (answered = true))
    controller.abort(GONE)
    await new Promise((resolve) => process.nextTick(() => queueMicrotask(() => setImmediate(resolve))))
    assert.ok(answered)
    await assert.rejects(
      async () =>
        await db
          .within(scopeOf(controller))
          .selectNoFrom(sql`1`.as('x'))
          .execute(),
      (e) => e === GONE,
    )
  })

  it('also obeys a signal given to one execute()', async () => {
    await using db = createDatabase<{ counters: { id: number } }>({ url: server.url })
    const controller = new AbortController()
    const query = db.selectFrom('counters').select(sql`pg_sleep(4.5)`.as('x'))
    const refused = assert.rejects(query.execute({ signal: controller.signal }), (error) => error === GONE)
    await until(async () => (await observer.running('pg_sleep(4.5)')) === 1)
    controller.abort(GONE)
    await refused
    await until(async () => (await observer.running('pg_sleep(4.5)')) === 0, 1_000)
    await until(() => db.snapshot().pool.idle === 1)
  })

  it('rolls a transaction back, between statements too', async () => {
    await using db = createDatabase({ url: server.url, max: 1 })
    for (const seconds of [0, 3]) {
      const controller = new AbortController()
      let lateError: unknown
      const transaction = db.within(scopeOf(controller)).transaction(async (tx) => {
        await sql`update counters set n = n + 1 where id = 1`.execute(tx)
        const sleeping = sql`select pg_sleep(${sql.lit(seconds)}), 'inside'`.execute(tx)
        await Promise.race([sleeping.catch(() => {}), pause(40)])
        queueMicrotask(() => controller.abort(GONE))
        await pause(40)
        await sql`update counters set n = n + 100 where id = 1`.execute(tx).catch((error: unknown) => (lateError = error))
      })
      await assert.rejects(transaction, (error) => error === GONE)
      await until(() => lateError !== undefined)
      assert.equal(lateError, GONE)
      await until(() => db.snapshot().pool.idle === 1)
      assert.equal(await observer.running('inside'), 0)
      assert.deepEqual(await observer.query('select n from counters'), [{ n: 0 }])
    }
    assert.equal(db.snapshot().pool.total, 1)
  })

  it('does not outlive a server that hangs: the connection is destroyed', async () => {
    await using proxy = await createFaultProxy({ target: serverOf(server.url) })
    const events: PostgresEvent[] = []
    const url = through(server.url, proxy.port)
    // A short query timeout stands for the 5 s of real time that settling may take.
    await using db = createDatabase({ url, max: 1, queryTimeoutMs: 300, onEvent: (event) => events.push(event) })
    await db.ping()
    await proxy.set('hang')
    const controller = new AbortController()
    const asking = db.ping(controller.signal)
    setTimeout(() => controller.abort(GONE), 20)
    await assert.rejects(asking, (error) => error === GONE)
    await until(() => events.some((event) => event.type === 'connection.discarded'))
    await proxy.set('pass')
    await until(() => db.snapshot().pool.total === 0)
    await db.ping()
  })

  for (const latencyMs of [0, 4]) {
    it(`hits no statement but its own, under load and at random moments, ${latencyMs} ms from the server`, async () => {
      await using proxy = await createFaultProxy({ target: serverOf(server.url), mode: { latencyMs } })
      const events: PostgresEvent[] = []
      const url = latencyMs ? through(server.url, proxy.port) : server.url
      await using db = createDatabase({ url, max: 6, connectionTimeoutMs: 10_000, onEvent: (event) => events.push(event) })
      const random = seededRandom(4711)
      const outcomes = await Promise.all(
        Array.from({ length: 400 }, (_, i) => request(db, { tag: i, random, startMs: random() * 800 })),
      )
      assert.deepEqual(
        outcomes.filter((outcome) => outcome !== 'right' && outcome !== 'gone'),
        [],
      )
      assert.ok(outcomes.filter((outcome) => outcome === 'gone').length > 60, 'some were cancelled')
      assert.ok(outcomes.filter((outcome) => outcome === 'right').length > 60, 'some were not')
      await until(() => db.snapshot().pool.idle === db.snapshot().pool.total)
      assert.equal(await observer.running('load'), 0)
      assert.equal(db.snapshot().pool.waiting, 0)
      assert.deepEqual(
        events.filter(({ type }) => type === 'connection.discarded'),
        [],
      )
      await Promise.all(Array.from({ length: 6 }, () => db.ping()))
    })
  }

  it('reaches the server through a unix socket whose path has spaces', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keelson pg '))
    await using _front = await listen(forwarder(server.url), join(folder, '.s.PGSQL.5432'))
    await assertCancels(`${through(server.url, 5432)}?host=${encodeURIComponent(folder)}`, observer)
    await rm(folder, { recursive: true })
  })

  it('reaches the server through TLS', async () => {
    await using front = await listen(tlsForwarder(server.url), 0)
    const ca = join(import.meta.dirname, 'localhost.crt')
    // By name, so that the certificate is checked against it although the cancel dials the address.
    const url = `${through(server.url, front.port, 'localhost')}?sslmode=verify-full&sslrootcert=${encodeURIComponent(ca)}`
    await assertCancels(url, observer)
    assert.ok(front.plainCancels === 0)
  })
})

type Outcome = 'right' | 'gone' | Error

/** One request: sometimes a transaction, half of the time cut short at a random moment. */
async function request(
  db: Database,
  { tag, random, startMs }: { tag: number; random: () => number; startMs: number },
): Promise<Outcome> {
  const controller = new AbortController()
  const [seconds, leavesAfterMs, inTransaction] = [random() * 0.03, random() < 0.5 ? random() * 25 : undefined, random() < 0.3]
  await pause(startMs)
  const timer = leavesAfterMs === undefined ? undefined : setTimeout(() => controller.abort(GONE), leavesAfterMs)
  const scoped = db.within(scopeOf(controller))
  const statement = sql<{ tag: number }>`select ${tag}::int as tag, 'load', pg_sleep(${seconds})`
  try {
    const { rows } = inTransaction
      ? await scoped.transaction(async (tx) => {
          await sql`select 'load'`.execute(tx)
          return await statement.execute(tx)
        })
      : await statement.execute(scoped)
    return rows[0]?.tag === tag ? 'right' : new Error(`got the answer of ${String(rows[0]?.tag)}`)
  } catch (error) {
    return error === GONE && leavesAfterMs !== undefined ? 'gone' : (error as Error)
  } finally {
    clearTimeout(timer)
  }
}

async function assertCancels(url: string, observer: Observer): Promise<void> {
  await using db = createDatabase({ url, max: 1 })
  const controller = new AbortController()
  const sleeping = sql`select pg_sleep(3.5)`.execute(db.within(scopeOf(controller)))
  const refused = assert.rejects(sleeping, (error) => error === GONE)
  await until(async () => (await observer.running('pg_sleep(3.5)')) === 1)
  controller.abort(GONE)
  await refused
  await until(async () => (await observer.running('pg_sleep(3.5)')) === 0, 1_000)
  await db.ping()
  assert.equal(db.snapshot().pool.total, 1)
}

interface Front extends AsyncDisposable {
  readonly port: number
  readonly plainCancels: number
}

async function listen(server: Server & { plainCancels?: number }, where: string | number): Promise<Front> {
  server.listen(where)
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    get plainCancels() {
      return server.plainCancels ?? 0
    },
    async [Symbol.asyncDispose]() {
      server.close()
      await once(server, 'close')
    },
  }
}

function forwarder(url: string): Server {
  return createServer((client) => forward(client, url))
}

function forward(client: Socket, url: string): void {
  const upstream = connect(serverOf(url))
  client.pipe(upstream).pipe(client)
  client.on('error', () => upstream.destroy())
  upstream.on('error', () => client.destroy())
}

/** Answers the SSLRequest, and speaks TLS from then on. */
function tlsForwarder(url: string): Server {
  const server: Server & { plainCancels?: number } = createServer((client) => {
    client.once('data', (first) => {
      if (first.length !== 8) {
        server.plainCancels = (server.plainCancels ?? 0) + 1
        client.destroy()
        return
      }
      client.write('S')
      forward(new TLSSocket(client, { isServer: true, key: KEY, cert: CERTIFICATE }), url)
    })
    client.on('error', () => {})
  })
  return server
}

/** Self-signed for localhost and 127.0.0.1, for this test only. */
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggX9oTVrXB5rt6JFq
pivYay84bOHUFf3MK1j1bQLqT3qhRANCAAR0dii8uIxg2psNcD9Z7Fqh9gVsDBqg
ZIfreM3cUxkWvJk4LLt0ZzdRL+sQnQ0xR1UkWxsEhwCD1BvmHcZo92Dc
-----END PRIVATE KEY-----`
const CERTIFICATE = await readFile(join(import.meta.dirname, 'localhost.crt'), 'utf8')
