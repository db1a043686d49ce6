import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { every, systemClock } from '../../src/core/clock.ts'
import { ManualClock } from '../../src/testing/index.ts'

test('the system clock runs, calls back in order and forgets what is disposed', async () => {
  const order: string[] = []
  const startedAt = systemClock.now()
  systemClock.after(15, () => order.push('second'))
  systemClock.after(1, () => order.push('first'))
  systemClock.after(1, () => order.push('never'))[Symbol.dispose]()
  await systemClock.sleep(40)
  assert.deepEqual(order, ['first', 'second'])
  assert.ok(systemClock.now() - startedAt >= 39)
  assert.ok(Math.abs(systemClock.wallNow() - Date.now()) < 1_000)
})

test('a delay beyond what a timer of Node takes does not fire at once', async () => {
  using _far = systemClock.after(2 ** 31 + 5, () => assert.fail('fired'))
  using _never = systemClock.after(Infinity, () => assert.fail('fired'))
  await systemClock.sleep(20)
})

test('a timer keeps no process alive; a sleep, which somebody awaits, does', () => {
  const url = JSON.stringify(import.meta.resolve('../../src/core/clock.ts'))
  const code = `import { systemClock } from ${url}
    systemClock.after(60_000, () => {})
    await systemClock.sleep(30)
    console.log('slept')`
  const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  assert.deepEqual([stdout.trim(), status], ['slept', 0])
})

for (const [name, sleep] of [
  ['system', (ms: number, signal: AbortSignal) => systemClock.sleep(ms, signal)],
  ['manual', (ms: number, signal: AbortSignal) => new ManualClock().sleep(ms, signal)],
] as const) {
  test(`a sleep on the ${name} clock ends with the signal's reason and leaves no listener`, async () => {
    const controller = new AbortController()
    const gone = new Error('gone')
    const sleeping = sleep(60_000, controller.signal)
    controller.abort(gone)
    await assert.rejects(sleeping, gone)
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
    await assert.rejects(sleep(60_000, controller.signal), gone)
  })
}

test('every calls again and again, the pause counted from the end of the last call', async () => {
  const clock = new ManualClock()
  const calls: number[] = []
  const repeating = every(clock, 100, async () => {
    calls.push(clock.now())
    await clock.sleep(30)
  })
  await clock.advance(400)
  assert.deepEqual(calls, [100, 230, 360])
  repeating[Symbol.dispose]()
  await clock.advance(1_000)
  assert.equal(calls.length, 3)
  assert.equal(clock.pendingTimers, 0)
})

test('every can be ended from within its own call', async () => {
  const clock = new ManualClock()
  let calls = 0
  const repeating = every(clock, 100, () => {
    calls++
    repeating[Symbol.dispose]()
  })
  await clock.advance(1_000)
  assert.equal(calls, 1)
  assert.equal(clock.pendingTimers, 0)
})

test('a manual clock runs what is due in order, each at its own time, and what that starts as well', async () => {
  const clock = new ManualClock(1_000)
  const ran: [string, number][] = []
  clock.after(20, () => ran.push(['b', clock.now()]))
  clock.after(10, () => {
    ran.push(['a', clock.now()])
    clock.after(5, () => ran.push(['c', clock.now()]))
  })
  clock.after(31, () => ran.push(['later', clock.now()]))
  await clock.advance(30)
  assert.deepEqual(ran, [
    ['a', 10],
    ['c', 15],
    ['b', 20],
  ])
  assert.deepEqual([clock.now(), clock.wallNow(), clock.pendingTimers], [30, 1_030, 1])
})

test('a manual clock never goes back, whatever delay it is given', async () => {
  const clock = new ManualClock()
  await clock.advance(100)
  let at = -1
  clock.after(-50, () => (at = clock.now()))
  await clock.advance(0)
  assert.equal(at, 100)
})
