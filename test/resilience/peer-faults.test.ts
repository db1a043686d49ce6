/** Faults found in other libraries' breakers, retries and bulkheads, each as a test of what happens here instead. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createPipeline, type ResilienceEvent } from '../../src/resilience/index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import {
  ControlledWork,
  down,
  fail,
  nearlyHalfOpen,
  never,
  open,
  outcome,
  refusedByPeer,
  succeed,
  times,
} from './controlled-work.ts'

const settle = (clock: ManualClock): Promise<void> => clock.advance(0)

test('half-open never parks callers: those beyond the probes are refused at once', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'p', breaker: {}, clock })
  await nearlyHalfOpen(pipeline, clock)
  for (let i = 0; i < 5; i++) void pipeline.run(never)
  const refused = await Promise.allSettled(Array.from({ length: 100 }, () => pipeline.run(succeed)))
  assert.ok(refused.every((r) => r.status === 'rejected' && (r.reason as { code: string }).code === 'KEELSON_BREAKER_OPEN'))
  assert.equal(pipeline.snapshot().running, 5)
})

test('a late failure from before it opened does not reopen a half-open breaker, nor does a late success close it', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'p', breaker: {}, clock })
  const old = new ControlledWork()
  const late = Array.from({ length: 20 }, () => pipeline.run(old.run).catch(() => {}))
  await nearlyHalfOpen(pipeline, clock)
  await outcome(pipeline, succeed)
  for (const work of old.started.slice(0, 10)) work.fail()
  for (const work of old.started.slice(10)) work.succeed()
  await Promise.all(late)
  assert.equal(pipeline.snapshot().breaker?.state, 'half-open')
  await times(4, () => outcome(pipeline, succeed))
  assert.equal(pipeline.snapshot().breaker?.state, 'closed')
})

test('the window ages while nobody calls', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'p', breaker: {}, clock })
  await times(19, () => outcome(pipeline, fail))
  assert.equal(pipeline.snapshot().breaker?.failures, 19)
  await clock.advance(11_000)
  assert.equal(pipeline.snapshot().breaker?.failures, 0)
  await outcome(pipeline, fail)
  assert.equal(pipeline.snapshot().breaker?.state, 'closed')
})

test('the window forgets slot by slot', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'p', breaker: { minCalls: 100 }, clock })
  for (let second = 0; second < 15; second++) {
    await outcome(pipeline, fail)
    assert.equal(pipeline.snapshot().breaker?.failures, Math.min(second + 1, 10))
    await clock.advance(1_000)
  }
})

test('no policy reads the wall clock', async () => {
  class NoWall extends ManualClock {
    override wallNow(): number {
      throw new Error('the wall clock was read')
    }
  }
  const clock = new NoWall()
  const pipeline = createPipeline({
    name: 'p',
    timeoutMs: 1_000,
    attemptTimeoutMs: 100,
    retry: {},
    breaker: {},
    bulkhead: {},
    clock,
  })
  const results = [pipeline.run(succeed), pipeline.run(fail, { repeat: 'safe' }).catch(() => {})]
  await clock.advance(5_000)
  await Promise.all(results)
  await nearlyHalfOpen(pipeline, clock)
  assert.equal(await pipeline.run(succeed), 'ok')
})

test("a caller's abort is no failure of the dependency", async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'p', breaker: {}, clock })
  for (let i = 0; i < 50; i++) {
    const caller = new AbortController()
    const obedient = pipeline.run(({ signal }) => clock.sleep(100, signal), { signal: caller.signal })
    await settle(clock)
    caller.abort()
    await assert.rejects(obedient, { name: 'AbortError' })
  }
  assert.deepEqual(pipeline.snapshot().breaker?.calls, 0)
})

test('an abort during the pause before a retry ends it at once, and calls no more', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'p', retry: { baseDelayMs: 60_000, maxDelayMs: 60_000 }, random: () => 0.9, clock })
  const caller = new AbortController()
  let calls = 0
  const fn = (): never => {
    calls++
    throw down()
  }
  const result = assert.rejects(pipeline.run(fn, { signal: caller.signal, repeat: 'safe' }), /gave up/)
  await clock.advance(10)
  caller.abort(new Error('gave up'))
  await result
  assert.equal(clock.now(), 10)
  await clock.advance(120_000)
  assert.equal(calls, 1)
  assert.equal(clock.pendingTimers, 0)
})

test('a signal that has aborted already calls nothing', async () => {
  const pipeline = createPipeline({ name: 'p', timeoutMs: 100, retry: {}, breaker: {}, bulkhead: {} })
  let called = false
  const result = pipeline.run(() => void (called = true), { signal: AbortSignal.abort(new Error('before')), repeat: 'safe' })
  await assert.rejects(result, /before/)
  assert.equal(called, false)
})

test('a queued call that was accepted is never displaced by a newcomer', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'p', bulkhead: { limit: 1, queueLimit: 1 }, clock })
  const work = new ControlledWork()
  const [first, queued] = [pipeline.run(work.run), pipeline.run(work.run)]
  for (let i = 0; i < 10; i++) await assert.rejects(pipeline.run(work.run), { code: 'KEELSON_BULKHEAD_FULL' })
  work.last.succeed('first')
  assert.equal(await first, 'first')
  await settle(clock)
  work.last.succeed('queued')
  assert.equal(await queued, 'queued')
})

test("a caller's abort is reported with the caller's reason, not as a timeout", async () => {
  const clock = new ManualClock()
  const events: ResilienceEvent[] = []
  const pipeline = createPipeline({ name: 'p', timeoutMs: 1_000, attemptTimeoutMs: 500, clock, onEvent: (e) => events.push(e) })
  const caller = new AbortController()
  let seen: unknown
  const fn = ({ signal }: { signal: AbortSignal }): Promise<never> => {
    signal.addEventListener('abort', () => (seen = signal.reason))
    return never()
  }
  const result = pipeline.run(fn, { signal: caller.signal }).catch((error: unknown) => error)
  await settle(clock)
  const reason = new Error('mine')
  caller.abort(reason)
  assert.equal(await result, reason)
  assert.equal(seen, reason)
  assert.deepEqual(events, [])
})

test('the signal does not abort after success, so a streamed body can be read to its end', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'p', timeoutMs: 100, attemptTimeoutMs: 50, retry: {}, clock })
  const caller = new AbortController()
  const signal = await pipeline.run((context) => context.signal, { signal: caller.signal })
  await clock.advance(1_000)
  caller.abort()
  assert.equal(signal.aborted, false)
})

test('one call that times out aborts no other', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'p', attemptTimeoutMs: 100, clock })
  const work = new ControlledWork()
  const early = assert.rejects(pipeline.run(work.run), { code: 'KEELSON_TIMEOUT' })
  await clock.advance(60)
  const neighbour = pipeline.run(work.run)
  await clock.advance(60)
  await early
  assert.deepEqual(
    work.started.map((w) => w.context.signal.aborted),
    [true, false],
  )
  work.last.succeed('fine')
  assert.equal(await neighbour, 'fine')
  assert.equal(await pipeline.run(({ signal }) => signal.aborted), false)
})

test('a slot stays taken until the work settles, not until its caller is answered', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'p', attemptTimeoutMs: 100, bulkhead: { limit: 1, queueLimit: 0 }, clock })
  const work = new ControlledWork()
  const timedOut = assert.rejects(pipeline.run(work.run), { code: 'KEELSON_TIMEOUT' })
  await clock.advance(100)
  await timedOut
  for (let i = 0; i < 5; i++) await assert.rejects(pipeline.run(work.run), { code: 'KEELSON_BULKHEAD_FULL' })
  assert.equal(work.started.length, 1)
  work.last.succeed()
  await settle(clock)
  assert.equal(await pipeline.run(succeed), 'ok')
})

test('refusals of the bulkhead do not open the breaker', async () => {
  const pipeline = createPipeline({ name: 'p', breaker: {}, bulkhead: { limit: 1, queueLimit: 0 }, clock: new ManualClock() })
  void pipeline.run(never)
  await times(100, () => outcome(pipeline, succeed))
  const { state, calls } = pipeline.snapshot().breaker!
  assert.deepEqual({ state, calls }, { state: 'closed', calls: 0 })
})

test('refusals of another pipeline inside do not open the breaker either', async () => {
  const inner = createPipeline({ name: 'inner', bulkhead: { limit: 1, queueLimit: 0 } })
  const outer = createPipeline({ name: 'outer', breaker: {}, clock: new ManualClock() })
  void inner.run(never)
  await times(100, () => outcome(outer, () => inner.run(succeed)))
  assert.equal(outer.snapshot().breaker?.state, 'closed')
})

test('closing forgets the failures that opened it', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'p', breaker: {}, clock })
  await nearlyHalfOpen(pipeline, clock)
  await times(5, () => outcome(pipeline, succeed))
  await times(19, () => outcome(pipeline, fail))
  assert.equal(pipeline.snapshot().breaker?.state, 'closed')
})

test('one failure does not open it', async () => {
  const pipeline = createPipeline({ name: 'p', breaker: {}, clock: new ManualClock() })
  await outcome(pipeline, fail)
  assert.equal(pipeline.snapshot().breaker?.state, 'closed')
})

test('a timeout above 2^31 - 1 ms does not fire at once', async () => {
  const pipeline = createPipeline({ name: 'p', timeoutMs: 2 ** 32, attemptTimeoutMs: 2 ** 31 })
  const slow = async (): Promise<string> => {
    for (let i = 0; i < 20; i++) await turn()
    return 'in time'
  }
  assert.equal(await pipeline.run(slow), 'in time')
})

test('a listener that throws changes nothing', async () => {
  const warned = Promise.withResolvers<Error>()
  process.once('warning', warned.resolve)
  const clock = new ManualClock()
  const onEvent = (): never => {
    throw new Error('bad listener')
  }
  const pipeline = createPipeline({ name: 'p', retry: {}, breaker: {}, random: () => 0, clock, onEvent })
  let calls = 0
  const fn = (): number => {
    if (++calls < 3) throw refusedByPeer()
    return calls
  }
  const result = pipeline.run(fn)
  await settle(clock)
  assert.equal(await result, 3)
  pipeline.isolate()
  await assert.rejects(pipeline.run(succeed), { code: 'KEELSON_BREAKER_OPEN' })
  assert.equal((await warned.promise).message, 'a telemetry listener threw: bad listener')
})

test('an open breaker is not retried', async () => {
  const clock = new ManualClock()
  const events: ResilienceEvent[] = []
  const pipeline = createPipeline({ name: 'p', retry: {}, breaker: {}, random: () => 0.5, clock, onEvent: (e) => events.push(e) })
  await open(pipeline)
  events.length = 0
  await assert.rejects(pipeline.run(succeed, { repeat: 'safe' }), { code: 'KEELSON_BREAKER_OPEN' })
  assert.deepEqual(
    events.map((e) => e.type),
    ['breaker.rejected'],
  )
})

test('many calls on one signal: no warning about too many listeners', async () => {
  const warnings: Error[] = []
  const listener = (warning: Error): void => {
    if (warning.name === 'MaxListenersExceededWarning') warnings.push(warning)
  }
  process.on('warning', listener)
  const pipeline = createPipeline({ name: 'p' })
  const caller = new AbortController()
  const calls = Array.from({ length: 100 }, () => pipeline.run(never, { signal: caller.signal }).catch(() => 'left'))
  await turn()
  caller.abort()
  assert.ok((await Promise.all(calls)).every((r) => r === 'left'))
  await turn()
  process.off('warning', listener)
  assert.deepEqual(warnings, [])
})
