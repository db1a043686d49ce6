import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { redisForTests } from '../../src/testing/redis-server.ts'

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test('the compiled server is a real one: scripts, streams, publish and subscribe, expiry, transactions', async () => {
  await using server = await redisForTests({ kind: 'wasm' })
  const client = new Redis(server.url)
  const subscriber = new Redis(server.url)
  try {
    await client.mset('a', '1', 'b', '2')
    assert.deepEqual(await client.mget('a', 'none', 'b'), ['1', null, '2'])
    const sha = (await client.script('LOAD', 'return redis.call("INCRBY", KEYS[1], ARGV[1])')) as string
    assert.equal(await client.evalsha(sha, 1, 'a', '41'), 42)
    await assert.rejects(client.evalsha('0'.repeat(40), 0), /NOSCRIPT/)
    await assert.rejects(client.eval('error("thrown in Lua")', 0), /thrown in Lua/)

    const heard = once(subscriber, 'message')
    await subscriber.subscribe('news')
    await client.publish('news', 'hello')
    assert.deepEqual(await heard, ['news', 'hello'])

    const blocked = subscriber.duplicate()
    const read = blocked.xread('BLOCK', 5_000, 'STREAMS', 'log', '$')
    while (!(await client.info('clients')).includes('blocked_clients:1')) await sleep(2)
    await client.xadd('log', '*', 'field', 'value')
    assert.deepEqual((await read)?.[0]?.[1][0]?.[1], ['field', 'value'])
    blocked.disconnect()

    await client.set('brief', 'x', 'PX', 30)
    while ((await client.exists('brief')) === 1) await sleep(5)
    assert.deepEqual(await client.multi().set('m', '1').incr('m').exec(), [
      [null, 'OK'],
      [null, 2],
    ])
    const [seconds] = await client.time()
    assert.ok(Math.abs(Number(seconds) * 1_000 - Date.now()) < 5_000)
  } finally {
    client.disconnect()
    subscriber.disconnect()
  }
})

test('the compiled server drains pipelines, many connections and large values', async () => {
  await using server = await redisForTests({ kind: 'wasm' })
  const clients = Array.from({ length: 32 }, () => new Redis(server.url))
  const [first] = clients as [Redis]
  try {
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: 5_000 }, (_, i) => first.set(`k${i}`, `v${i}`)))
    // Without the bridge this takes over a second, because one timer tick drains one read.
    assert.ok(performance.now() - startedAt < 1_000, 'a pipeline of 5,000 commands')
    const values = await Promise.all(clients.flatMap((client) => [1, 2, 3].map((i) => client.get(`k${i}`))))
    assert.deepEqual(new Set(values), new Set(['v1', 'v2', 'v3']))
    const large = 'x'.repeat(8 * 1024 * 1024)
    await first.set('large', large)
    assert.equal(await first.get('large'), large)
  } finally {
    for (const client of clients) client.disconnect()
  }
})

for (const kind of ['path', 'wasm'] as const) {
  test(`a private server (${kind}) can be paused, killed, restarted empty, and leaves no process`, async (t) => {
    const server = await redisForTests({ kind }).catch((error: Error) => t.skip(error.message))
    if (!server) return
    const client = new Redis(server.url, { commandTimeout: 2_000, retryStrategy: () => 10 })
    client.on('error', () => {})
    await client.set('a', '1')
    server.pause()
    const reply = client.get('a')
    assert.equal(await Promise.race([reply, sleep(50, 'none')]), 'none')
    server.resume()
    assert.equal(await reply, '1')
    server.pause()
    const oldPid = server.pid!
    await server.restart()
    assert.equal(alive(oldPid), false)
    assert.equal(await client.get('a'), null)
    client.disconnect()
    const pid = server.pid!
    await server[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
    assert.equal(alive(pid), false)
  })

  test(`a private server (${kind}), even paused, dies with a process that is killed`, async () => {
    const module = new URL('../../src/testing/redis-server.ts', import.meta.url).href
    const program = `
      const { redisForTests } = await import(${JSON.stringify(module)})
      const server = await redisForTests({ kind: ${JSON.stringify(kind)} })
      server.pause()
      console.log(server.pid)
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'ignore'] })
    const [line] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit').then(() => [''])])) as [unknown]
    const pid = Number(String(line))
    if (kind === 'path' && !pid) return
    assert.ok(alive(pid))
    child.kill('SIGKILL')
    while (alive(pid)) await sleep(5)
  })
}

test('a server named by the environment is shared: keys by prefix, removed at the end, no pausing', async (t) => {
  await using shared = await redisForTests({ own: true })
  const before = process.env['KEELSON_TEST_REDIS_URL']
  process.env['KEELSON_TEST_REDIS_URL'] = shared.url
  t.after(() => {
    if (before === undefined) delete process.env['KEELSON_TEST_REDIS_URL']
    else process.env['KEELSON_TEST_REDIS_URL'] = before
  })
  const client = new Redis(shared.url)
  const server = await redisForTests()
  assert.equal(server.url, shared.url)
  assert.equal(server.pid, undefined)
  assert.throws(() => server.pause(), /not ours/)
  await client.mset('kept', '1', `${server.prefix}a`, '1')
  await server[Symbol.asyncDispose]()
  assert.deepEqual(await client.keys('*'), ['kept'])
  client.disconnect()
})
