import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { createDeadline } from '../../src/core/deadline.ts'
import { createPipeline, type AttemptContext, type PipelineOptions, type ResilienceEvent } from '../../src/resilience/index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { ControlledWork, never } from './controlled-work.ts'

function timed(options: Partial<PipelineOptions>) {
  const clock = new ManualClock()
  const events: ResilienceEvent[] = []
  const onEvent = (e: ResilienceEvent): void => void events.push(e)
  return { clock, events, pipeline: createPipeline({ name: 'mail', clock, random: () => 0, onEvent, ...options }) }
}

test('the caller is answered when the total time is up, even by work that ignores its signal', async () => {
  const { clock, pipeline, events } = timed({ timeoutMs: 100 })
  const result = assert.rejects(pipeline.run(never), {
    code: 'KEELSON_TIMEOUT',
    kind: 'timeout',
    message: 'mail: not done within 100 ms',
  })
  await clock.advance(100)
  await result
  assert.deepEqual(events, [{ type: 'timeout.exceeded', source: 'mail', scope: 'total', timeoutMs: 100 }])
})

test('each attempt has its own time, inside the total', async () => {
  const { clock, pipeline, events } = timed({ timeoutMs: 250, attemptTimeoutMs: 100, retry: {} })
  const seen: unknown[] = []
  const fn = ({ signal, attempt, deadline }: AttemptContext): Promise<never> => {
    seen.push([attempt, deadline.remainingMs])
    signal.addEventListener('abort', () => seen.push((signal.reason as { message: string }).message))
    return never()
  }
  const result = assert.rejects(pipeline.run(fn, { repeat: 'safe' }), { code: 'KEELSON_TIMEOUT' })
  await clock.advance(250)
  await result
  assert.deepEqual(seen, [
    [1, 100],
    'mail: no answer within 100 ms',
    [2, 100],
    'mail: no answer within 100 ms',
    [3, 50],
    'mail: not done within 250 ms',
  ])
  assert.deepEqual(
    events.flatMap((e) => (e.type === 'timeout.exceeded' ? [e.scope] : [])),
    ['attempt', 'attempt', 'total'],
  )
})

test('the attempt time starts with the slot, so waiting for it is not the dependency being slow', async () => {
  const { clock, pipeline } = timed({ attemptTimeoutMs: 100, bulkhead: { limit: 1 } })
  const work = new ControlledWork()
  const first = pipeline.run(work.run)
  const second = pipeline.run(work.run)
  await clock.advance(90)
  work.started[0]!.succeed()
  await clock.advance(90)
  work.started[1]!.succeed('second')
  await first
  assert.equal(await second, 'second')
})

test("the caller's deadline bounds the call, with its own reason", async () => {
  const { clock, pipeline } = timed({ timeoutMs: 1_000 })
  using deadline = createDeadline({ timeoutMs: 80, clock })
  let given = 0
  const fn = (context: AttemptContext): Promise<never> => {
    given = context.deadline.remainingMs
    return never()
  }
  const result = assert.rejects(pipeline.run(fn, { deadline }), { code: 'KEELSON_DEADLINE_EXCEEDED' })
  await clock.advance(80)
  await result
  assert.equal(given, 80)
  assert.equal(clock.now(), 80)
})

test('a deadline that has passed calls nothing', async () => {
  const { pipeline } = timed({})
  let called = false
  const passed = { remainingMs: 0, signal: new AbortController().signal }
  const result = pipeline.run(() => void (called = true), { deadline: passed })
  await assert.rejects(result, { code: 'KEELSON_DEADLINE_EXCEEDED', kind: 'timeout' })
  assert.equal(called, false)
})

test('the signal is made only when it is read', async () => {
  const { clock, pipeline } = timed({ timeoutMs: 100 })
  const RealController = globalThis.AbortController
  let made = 0
  globalThis.AbortController = class extends RealController {
    constructor() {
      super()
      made++
    }
  }
  try {
    await pipeline.run(({ attempt }) => attempt)
    assert.equal(made, 0)
    await pipeline.run(({ signal }) => signal)
    assert.equal(made, 1)
  } finally {
    globalThis.AbortController = RealController
  }
  assert.equal(clock.pendingTimers, 0)
})

test('a signal read after the end tells how it ended', async () => {
  const { clock, pipeline } = timed({ timeoutMs: 100 })
  const work = new ControlledWork()
  const cut = assert.rejects(pipeline.run(work.run))
  await clock.advance(100)
  await cut
  assert.equal(work.last.context.signal.aborted, true)
  assert.equal(work.last.context.deadline.remainingMs, 0)
})

test('a caller that leaves is answered at once with its own reason', async () => {
  const { clock, pipeline, events } = timed({ timeoutMs: 1_000 })
  const caller = new AbortController()
  const result = assert.rejects(pipeline.run(never, { signal: caller.signal }), /gave up/)
  await clock.advance(20)
  caller.abort(new Error('gave up'))
  await result
  assert.equal(clock.now(), 20)
  assert.deepEqual(events, [])
})

test('nothing is left behind: no timer, and no listener on a long-lived signal', async () => {
  const { clock, pipeline } = timed({ timeoutMs: 1_000, attemptTimeoutMs: 100, retry: {}, breaker: {}, bulkhead: { limit: 1 } })
  const caller = new AbortController()
  using deadline = createDeadline({ timeoutMs: Infinity, clock })
  const options = { signal: caller.signal, deadline, repeat: 'safe' } as const
  const calls = [
    pipeline.run(async () => 'well', options),
    pipeline.run(() => Promise.reject(new TypeError('badly')), options).catch(() => {}),
    pipeline.run(({ signal }) => clock.sleep(1_000, signal), options).catch(() => {}),
  ]
  await clock.advance(2_000)
  await Promise.all(calls)
  assert.equal(clock.pendingTimers, 0)
  for (const signal of [caller.signal, deadline.signal]) assert.deepEqual(getEventListeners(signal, 'abort'), [])
})

test('work that outlives its caller is counted until it settles, and reported if it ignores its signal', async () => {
  const { clock, pipeline, events } = timed({ timeoutMs: 100 })
  const work = new ControlledWork()
  const deaf = assert.rejects(pipeline.run(work.run))
  const obedient = assert.rejects(pipeline.run(({ signal }) => clock.sleep(9_999, signal)))
  await clock.advance(100)
  await Promise.all([deaf, obedient])
  await clock.advance(0)
  assert.equal(pipeline.snapshot().leaked, 1)
  assert.equal(pipeline.snapshot().running, 0)
  await clock.advance(100)
  assert.deepEqual(
    events.filter((e) => e.type === 'work.leaked'),
    [{ type: 'work.leaked', source: 'mail', attempt: 1, leaked: 1 }],
  )
  work.last.fail()
  await clock.advance(0)
  assert.equal(pipeline.snapshot().leaked, 0)
})
