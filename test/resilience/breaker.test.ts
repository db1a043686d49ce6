import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeelsonError, type ErrorKind } from '../../src/core/errors.ts'
import { createPipeline, type BreakerOptions, type ResilienceEvent } from '../../src/resilience/index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { ControlledWork, fail, nearlyHalfOpen, never, open, outcome, succeed, times } from './controlled-work.ts'

/** `random` of one half makes every open time exact. */
function broken(breaker: Partial<BreakerOptions> = {}, attemptTimeoutMs?: number) {
  const clock = new ManualClock()
  const events: ResilienceEvent[] = []
  const onEvent = (e: ResilienceEvent): void => void events.push(e)
  const pipeline = createPipeline({ name: 'billing', breaker, attemptTimeoutMs, clock, random: () => 0.5, onEvent })
  const state = () => pipeline.snapshot().breaker!.state
  const changes = () => events.filter((e) => /breaker\.(opened|half-opened|closed)/.test(e.type)).map((e) => e.type)
  return { clock, pipeline, events, state, changes }
}

test('opens at half of at least 20 calls failed, and then calls nothing', async () => {
  const { pipeline, state, events } = broken()
  await times(10, () => outcome(pipeline, succeed))
  await times(9, () => outcome(pipeline, fail))
  assert.equal(state(), 'closed')
  await outcome(pipeline, fail)
  assert.equal(state(), 'open')

  let called = false
  await assert.rejects(
    pipeline.run(() => void (called = true)),
    { code: 'KEELSON_BREAKER_OPEN', kind: 'unavailable', retryAfterMs: 5_000 },
  )
  assert.equal(called, false)
  const { reason, openMs, calls, failures } = events.find((e) => e.type === 'breaker.opened')!
  assert.deepEqual({ reason, openMs, calls, failures }, { reason: 'failures', openMs: 5_000, calls: 20, failures: 10 })
})

test('a share below the ratio never opens it', async () => {
  const { pipeline, state } = broken()
  await times(100, async () => {
    await outcome(pipeline, succeed)
    await outcome(pipeline, succeed)
    await outcome(pipeline, fail)
  })
  assert.equal(state(), 'closed')
})

test('only what speaks of the dependency counts as a failure', async () => {
  const counts = async (error: unknown): Promise<boolean> => {
    const { pipeline, state } = broken()
    await times(40, () => outcome(pipeline, () => Promise.reject(error)))
    return state() === 'open'
  }
  const kinds: [ErrorKind, boolean][] = [
    ['timeout', true],
    ['unavailable', true],
    ['overloaded', true],
    ['internal', true],
    ['invalid', false],
    ['not_found', false],
    ['conflict', false],
    ['unauthenticated', false],
    ['forbidden', false],
    ['cancelled', false],
  ]
  for (const [kind, expected] of kinds) assert.equal(await counts(new KeelsonError('TEST', kind, kind)), expected, kind)
  assert.equal(await counts(new Error('who knows')), true)
  assert.equal(await counts(new DOMException('bye', 'AbortError')), false)
  assert.equal(await counts(new KeelsonError('KEELSON_BREAKER_OPEN', 'unavailable', 'a breaker further down')), false)
})

test('isFailure decides instead, if given', async () => {
  const { pipeline, state } = broken({ isFailure: (error) => error instanceof RangeError })
  await times(40, () => outcome(pipeline, fail))
  assert.equal(state(), 'closed')
  await times(40, () => outcome(pipeline, () => Promise.reject(new RangeError('bad'))))
  assert.equal(state(), 'open')
})

test('slow calls open it too, if slowCallMs is given', async () => {
  const { clock, pipeline, state, events } = broken({ slowCallMs: 100, minCalls: 5 })
  for (let i = 0; i < 5; i++) {
    const slow = pipeline.run(() => clock.sleep(101))
    await clock.advance(101)
    await slow
  }
  assert.equal(state(), 'open')
  assert.equal(events[0]?.type === 'breaker.opened' && events[0].reason, 'slow-calls')
})

test('half-open: five at a time, the rest fail at once; five successes close it', async () => {
  const { clock, pipeline, state, changes } = broken()
  await nearlyHalfOpen(pipeline, clock)
  const work = new ControlledWork()
  const probes = Array.from({ length: 5 }, () => pipeline.run(work.run))
  await clock.advance(2_000)
  await assert.rejects(pipeline.run(work.run), { code: 'KEELSON_BREAKER_OPEN', retryAfterMs: 3_000 })
  assert.equal(pipeline.snapshot().breaker?.probing, 5)
  for (const probe of work.started) probe.succeed()
  await Promise.all(probes)
  assert.equal(state(), 'closed')
  assert.deepEqual(changes(), ['breaker.opened', 'breaker.half-opened', 'breaker.closed'])
})

test('half-open: one failure may be chance, the second reopens it for twice as long', async () => {
  const { clock, pipeline, state } = broken()
  await nearlyHalfOpen(pipeline, clock)
  await outcome(pipeline, fail)
  assert.equal(state(), 'half-open')
  await outcome(pipeline, fail)
  assert.equal(state(), 'open')
  assert.equal(pipeline.snapshot().breaker?.retryAfterMs, 10_000)
})

test('half-open: four successes and one failure, then a success, close it', async () => {
  const { clock, pipeline, state } = broken()
  await nearlyHalfOpen(pipeline, clock)
  await times(4, () => outcome(pipeline, succeed))
  await outcome(pipeline, fail)
  assert.equal(state(), 'half-open')
  await outcome(pipeline, succeed)
  assert.equal(state(), 'closed')
})

test('half-open: slow probes are failed probes', async () => {
  const { clock, pipeline, state } = broken({ slowCallMs: 100 })
  await nearlyHalfOpen(pipeline, clock)
  for (let i = 0; i < 2; i++) {
    const slow = pipeline.run(() => clock.sleep(101))
    await clock.advance(101)
    await slow
  }
  assert.equal(state(), 'open')
})

test('half-open: answers about the request show that the dependency works', async () => {
  const { clock, pipeline, state } = broken()
  await nearlyHalfOpen(pipeline, clock)
  await times(5, () => outcome(pipeline, () => Promise.reject(new KeelsonError('TEST', 'not_found', 'none'))))
  assert.equal(state(), 'closed')
})

test('half-open: probes that never end are failures once their time is up', async () => {
  const { clock, pipeline, state } = broken()
  await nearlyHalfOpen(pipeline, clock)
  for (let i = 0; i < 5; i++) void outcome(pipeline, never)
  await clock.advance(5_000)
  await assert.rejects(pipeline.run(succeed), { code: 'KEELSON_BREAKER_OPEN' })
  assert.equal(state(), 'open')
  await clock.advance(10_000)
  await times(5, () => outcome(pipeline, succeed))
  assert.equal(state(), 'closed')
})

test('half-open: a probe ended by its caller decides nothing and frees its place', async () => {
  const { clock, pipeline, state } = broken({ probes: 1 })
  await nearlyHalfOpen(pipeline, clock)
  for (let i = 0; i < 5; i++) {
    const caller = new AbortController()
    const probe = assert.rejects(pipeline.run(never, { signal: caller.signal }), /gone/)
    caller.abort(new Error('gone'))
    await probe
    assert.equal(state(), 'half-open')
  }
  await outcome(pipeline, succeed)
  assert.equal(state(), 'closed')
})

test('the open time doubles while probes fail, up to its limit, and starts again after a good time', async () => {
  const { clock, pipeline, events } = broken()
  const openTimes = () => events.flatMap((e) => (e.type === 'breaker.opened' ? [e.openMs] : []))
  await open(pipeline)
  for (let i = 0; i < 5; i++) {
    await clock.advance(60_000)
    await times(2, () => outcome(pipeline, fail))
  }
  assert.deepEqual(openTimes(), [5_000, 10_000, 20_000, 40_000, 60_000, 60_000])
  await clock.advance(60_000)
  await times(5, () => outcome(pipeline, succeed))
  await clock.advance(1_000)
  await open(pipeline)
  assert.equal(openTimes().at(-1), 60_000)
  await clock.advance(60_000)
  await times(5, () => outcome(pipeline, succeed))
  await clock.advance(120_000)
  await open(pipeline)
  assert.equal(openTimes().at(-1), 5_000)
})

test('the open time is jittered by a fifth either way', async () => {
  for (const [random, openMs] of [
    [0, 4_000],
    [1, 6_000],
  ] as const) {
    const pipeline = createPipeline({ name: 'b', breaker: {}, clock: new ManualClock(), random: () => random })
    await open(pipeline)
    assert.equal(Math.round(pipeline.snapshot().breaker!.retryAfterMs!), openMs)
  }
})

test('isolate refuses everything until close, whatever time passes', async () => {
  const { clock, pipeline, state, events } = broken()
  pipeline.isolate()
  await clock.advance(1_000_000)
  await assert.rejects(pipeline.run(succeed), { code: 'KEELSON_BREAKER_OPEN', retryAfterMs: undefined })
  assert.equal(state(), 'isolated')
  pipeline.close()
  assert.equal(await pipeline.run(succeed), 'ok')
  assert.deepEqual(
    events.map((e) => ('reason' in e ? [e.type, e.reason] : [e.type])),
    [['breaker.opened', 'isolated'], ['breaker.rejected'], ['breaker.closed', 'by-hand']],
  )
})

test('a call that waits for a slot while the breaker opens is refused, not made', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'b', breaker: { minCalls: 1 }, bulkhead: { limit: 1 }, clock })
  const work = new ControlledWork()
  const first = assert.rejects(pipeline.run(work.run), { code: 'TEST_DOWN' })
  const second = assert.rejects(pipeline.run(work.run), { code: 'KEELSON_BREAKER_OPEN' })
  await clock.advance(0)
  work.last.fail()
  await Promise.all([first, second])
  assert.equal(work.started.length, 1)
  assert.equal(pipeline.snapshot().bulkhead?.inFlight, 0)
})

test('half-open: calls that wait for a slot are no probes, and take none of their places', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'b', breaker: {}, bulkhead: { limit: 1 }, clock })
  await nearlyHalfOpen(pipeline, clock)
  const work = new ControlledWork()
  const calls = Array.from({ length: 8 }, () => pipeline.run(work.run))
  assert.equal(pipeline.snapshot().breaker?.probing, 1)
  for (let i = 0; i < calls.length; i++) {
    await clock.advance(0)
    work.last.succeed()
  }
  await Promise.all(calls)
})

test('a deadline that gave the call a fair chance counts as a failure, a short one does not', async () => {
  const { clock, pipeline } = broken()
  const usual = pipeline.run(() => clock.sleep(100))
  await clock.advance(100)
  await usual
  const cutAfter = async (ms: number) => {
    const deadline = new AbortController()
    const cut = assert.rejects(pipeline.run(never, { signal: deadline.signal }))
    await clock.advance(ms)
    deadline.abort(new KeelsonError('KEELSON_DEADLINE_EXCEEDED', 'timeout', 'late'))
    await cut
    return pipeline.snapshot().breaker!.failures
  }
  assert.equal(await cutAfter(400), 0)
  assert.equal(await cutAfter(401), 1)
})

test('a dependency that hangs opens the breaker by the total timeout alone', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'b', timeoutMs: 1_000, breaker: {}, clock })
  const calls = Array.from({ length: 20 }, () => outcome(pipeline, never))
  await clock.advance(1_000)
  await Promise.all(calls)
  assert.equal(pipeline.snapshot().breaker?.state, 'open')
})
