/** Two workers are one service: what one changes the other knows, and what breaks in one stays there. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { redisForTests } from '../../src/testing/index.ts'
import type { Client } from '../support/client.ts'
import { ROOT } from '../support/command.ts'
import { startService, type RunningService } from '../support/running-service.ts'
import { createUser, readUser, renameUser } from '../support/users.ts'
import { eventually } from '../support/waiting.ts'

const ROUNDS = 20

/** The promise is 100 ms for each; on a busy machine it is asserted for most. */
const USUALLY_WITHIN_MS = 100
const ALWAYS_WITHIN_MS = 2_000

test('a change through one worker is seen on the other at once, without Redis', async (t) => {
  await using service = await startService()
  await assertSeenElsewhere(t, service)
})

test('a change through one worker is seen on the other at once, with Redis', async (t) => {
  await using redis = await redisForTests({ own: true })
  await using service = await startService({ env: { REDIS_URL: redis.url } })
  await assertSeenElsewhere(t, service)
})

test('a rejection that nobody caught drains that worker only; its other requests are answered, and it is replaced', async () => {
  await using service = await startService({ service: join(ROOT, 'test/examples/fixtures/stray.ts') })
  const [first, second] = (await service.workersReady(2)) as [number, number]
  using other = await service.clientOn(second)
  using guilty = await service.clientOn(first)
  using innocent = await service.clientOn(first)
  const slow = innocent.get('/slow')
  await eventually('the slow one', async () => (await guilty.get('/fine')).json<{ underWay: number }>().underWay === 1)
  assert.deepEqual((await guilty.get('/stray')).json(), { pid: first })
  const answer = await slow
  assert.deepEqual([answer.status, answer.json(), answer.headers.connection], [200, { pid: first }, 'close'])

  const ready = await eventually('the replacement', async () => {
    const pids = (await service.workers()).filter((worker) => worker.ready).map(({ pid }) => pid)
    return pids.length === 2 && !pids.includes(first) && pids
  })
  assert.ok(ready.includes(second))
  assert.equal((await other.get('/fine')).json<{ pid: number }>().pid, second)
  guilty[Symbol.dispose]()
  const ends = await eventually('its end', () => {
    const lines = service.logs().filter(({ event }) => event === 'worker.failing' || event === 'worker.exited')
    return lines.length >= 2 && lines
  })
  assert.deepEqual(
    ends.map(({ event, worker }) => [event, worker]),
    [
      ['worker.failing', 1],
      ['worker.exited', 1],
    ],
  )
  assert.match(JSON.stringify(ends[0]), /nobody caught me/)
  assert.equal((await service.probe('livez')).status, 200)
})

/** Changes and deletes alternately through either worker, and reads through the other. */
async function assertSeenElsewhere(t: TestContext, service: RunningService): Promise<void> {
  const [first, second] = (await service.workersReady(2)) as [number, number]
  using one = await service.clientOn(first)
  using two = await service.clientOn(second)
  const took: number[] = []
  for (let i = 0; i < ROUNDS; i++) {
    const [writer, reader] = i % 2 === 0 ? [one, two] : [two, one]
    took.push(...(await changeAndDelete(writer, reader, i)))
  }
  assertTwoWorkers(service, [first, second])
  const sorted = took.toSorted((a, b) => a - b).map(Math.round)
  const usual = sorted[Math.floor(sorted.length * 0.75)]!
  t.diagnostic(`seen after ${sorted[sorted.length >> 1]} ms in the median, ${sorted.at(-1)} ms at most, of ${sorted.length}`)
  assert.ok(usual <= USUALLY_WITHIN_MS, sorted.join(', '))
  assert.ok(sorted.at(-1)! <= ALWAYS_WITHIN_MS, sorted.join(', '))
}

/** @returns how long after the answer the reader's worker still gave the old user: after the change, after the end. */
async function changeAndDelete(writer: Client, reader: Client, i: number): Promise<readonly [number, number]> {
  const user = await createUser(writer, { email: `user-${i}@example.com`, name: 'Before', username: `user-${i}` })
  // Twice: the second time it comes from memory.
  for (const client of [reader, writer, reader, writer]) assert.equal((await readUser(client, user.id)).name, 'Before')

  await renameUser(writer, user.id, 'After')
  const changedAt = performance.now()
  assert.equal((await readUser(writer, user.id)).name, 'After')
  await eventually('the new name', async () => (await readUser(reader, user.id)).name === 'After', { everyMs: 1 })
  const changedMs = performance.now() - changedAt

  const path = `/api/users/${user.id}`
  assert.equal((await writer.call('DELETE', path, { headers: { 'if-match': '*' } })).status, 204)
  const deletedAt = performance.now()
  assert.equal((await writer.get(path)).status, 404)
  await eventually('the end', async () => (await reader.get(path)).status === 404, { everyMs: 1 })
  return [changedMs, performance.now() - deletedAt]
}

/** The lines in the log tell which process answered. */
function assertTwoWorkers(service: RunningService, pids: readonly number[]): void {
  const seen = new Set(service.logs().flatMap(({ msg, pid }) => (msg === 'request' ? [pid] : [])))
  assert.deepEqual(seen, new Set(pids))
}
