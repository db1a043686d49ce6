import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { subscribe } from '../../src/core/telemetry.ts'
import {
  createPipeline,
  pipelines,
  RESILIENCE_CHANNEL,
  type PipelineOptions,
  type ResilienceEvent,
} from '../../src/resilience/index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { down, never, outcome } from './controlled-work.ts'

const ALL = {
  name: 'all',
  timeoutMs: 1_000,
  attemptTimeoutMs: 100,
  retry: {},
  breaker: {},
  bulkhead: {},
  fallback: () => 'instead',
} satisfies PipelineOptions<string>

test('a policy is on only if its option is given, and the order is fixed', () => {
  assert.deepEqual(createPipeline({ name: 'bare' }).policies, [])
  assert.deepEqual(createPipeline({ bulkhead: {}, timeoutMs: 1, name: 'two' }).policies, ['timeout', 'bulkhead'])
  const order = ['fallback', 'timeout', 'retry', 'breaker', 'bulkhead', 'attempt-timeout']
  assert.deepEqual(createPipeline(ALL).policies, order)
})

test('a bare pipeline hands values and errors through, thrown or rejected', async () => {
  const pipeline = createPipeline({ name: 'bare' })
  assert.equal(await pipeline.run(() => 1), 1)
  assert.equal(await pipeline.run(async ({ attempt }) => attempt), 1)
  const error = down()
  const thrown = () => {
    throw error
  }
  assert.equal(await outcome(pipeline, thrown), error)
  assert.equal(await outcome(pipeline, () => Promise.reject(error)), error)
})

test('the fallback answers, from the final error, and it is reported', async () => {
  const events: ResilienceEvent[] = []
  const fallback = (error: unknown) => `instead of ${String(error)}`
  const pipeline = createPipeline({ name: 'f', fallback, onEvent: (e) => events.push(e) })
  const answer: number | string = await pipeline.run((): number => {
    throw new RangeError('x')
  })
  assert.equal(answer, 'instead of RangeError: x')
  assert.equal(events[0]?.type, 'fallback.used')
  assert.equal(pipeline.snapshot().failed, 1)
})

test('the fallback answers a total timeout too, and is itself bounded by the caller only', async () => {
  const clock = new ManualClock()
  const pipeline = createPipeline({ name: 'f', timeoutMs: 100, fallback: () => clock.sleep(500).then(() => 'late'), clock })
  const result = pipeline.run(never)
  await clock.advance(600)
  assert.equal(await result, 'late')

  const caller = new AbortController()
  const left = assert.rejects(pipeline.run(never, { signal: caller.signal }), /gone/)
  await clock.advance(300)
  caller.abort(new Error('gone'))
  await left
})

test('nobody makes a fallback for a caller that has left', async () => {
  let made = false
  const pipeline = createPipeline({ name: 'f', fallback: () => void (made = true) })
  await assert.rejects(pipeline.run(never, { signal: AbortSignal.abort(new Error('gone')) }), /gone/)
  assert.equal(made, false)
})

test('a fallback that throws decides the error', async () => {
  const fallback = (error: unknown): never => {
    throw new Error('no answer either', { cause: error })
  }
  await assert.rejects(
    createPipeline({ name: 'f', fallback }).run(() => Promise.reject(down())),
    /no answer either/,
  )
})

test('events reach the channel and the pipeline alike', async () => {
  const heard: ResilienceEvent[] = []
  const own: ResilienceEvent[] = []
  using _subscription = subscribe<ResilienceEvent>(RESILIENCE_CHANNEL, (e) => {
    if (e.source === 'heard') heard.push(e)
  })
  const pipeline = createPipeline({ name: 'heard', breaker: {}, onEvent: (e) => own.push(e) })
  pipeline.isolate()
  pipeline.close()
  assert.deepEqual(
    heard.map((e) => e.type),
    ['breaker.opened', 'breaker.closed'],
  )
  assert.deepEqual(own, heard)
})

test('the registry lists a pipeline with its state, until it is disposed', async () => {
  const listed = () => pipelines.snapshots().find((s) => s.name === 'listed')
  {
    using pipeline = createPipeline({ ...ALL, name: 'listed', clock: new ManualClock() })
    await pipeline.run(() => 1)
    assert.deepEqual(listed(), {
      name: 'listed',
      policies: pipeline.policies,
      succeeded: 1,
      failed: 0,
      running: 0,
      leaked: 0,
      breaker: { state: 'closed', calls: 1, failures: 0, slow: 0, probing: 0, retryAfterMs: undefined },
      bulkhead: { inFlight: 0, limit: 50, queued: 0, queueLimit: 50 },
      retryBudget: { tokens: 10.2, cap: 20 },
    })
  }
  assert.equal(listed(), undefined)
})

test('isolate and close need a breaker', () => {
  const pipeline = createPipeline({ name: 'none' })
  assert.throws(() => pipeline.isolate(), TypeError)
  assert.throws(() => pipeline.close(), TypeError)
})

test('a bad option is refused, naming option, rule and value', () => {
  const refused = (options: object, message: RegExp): void =>
    assert.throws(() => createPipeline({ name: 'x', ...options }), { code: 'KEELSON_CONFIG_INVALID', message })
  refused({ name: '' }, /createPipeline: `name` must be a non-empty string, got/)
  refused({ timeoutMs: -1 }, /`timeoutMs` must be a number >= 1, got -1/)
  refused({ timeoutMs: NaN }, /`timeoutMs` .* got NaN/)
  refused({ timeoutMs: '5s' }, /`timeoutMs` .* got 5s/)
  refused({ timeoutMs: 100, attemptTimeoutMs: 200 }, /`attemptTimeoutMs` must not exceed timeoutMs \(100\), got 200/)
  refused({ timeout: 100 }, /`timeout` is not an option/)
  refused({ retry: true }, /`retry` must be an object, got true/)
  refused({ retry: { attempts: 3 } }, /retry: `attempts` is not an option/)
  refused({ retry: { maxAttempts: 0 } }, /retry: `maxAttempts` must be an integer >= 1, got 0/)
  refused({ retry: { budgetRatio: 2 } }, /retry: `budgetRatio` must be a number from 0 to 1, got 2/)
  refused({ breaker: { failureRatio: 50 } }, /breaker: `failureRatio` must be a number from 0.01 to 1, got 50/)
  refused({ bulkhead: { limit: 0 } }, /bulkhead: `limit` must be an integer >= 1, got 0/)
  refused({ fallback: 'none' }, /`fallback` must be a function, got none/)
})

test('property: whatever the outcomes, each call settles once and nothing is left', async () => {
  const fate = fc.constantFrom('ok', 'fails', 'hangs', 'obeys', 'leaves')
  await fc.assert(
    fc.asyncProperty(
      fc.array(fate, { maxLength: 40 }),
      fc.infiniteStream(fc.double({ min: 0, max: 0.99, noNaN: true })),
      async (fates, draws) => {
        const clock = new ManualClock()
        const random = (): number => draws.next().value as number
        const pipeline = createPipeline({ ...ALL, fallback: undefined, bulkhead: { limit: 3, queueLimit: 10 }, clock, random })
        const hung: (() => void)[] = []
        const fn = (what: string, signal: AbortSignal): unknown => {
          if (what === 'ok') return clock.sleep(50)
          if (what === 'fails') return Promise.reject(down())
          if (what === 'obeys') return clock.sleep(5_000, signal)
          return new Promise<void>((resolve) => hung.push(resolve))
        }
        const calls = fates.map((what) => {
          const caller = new AbortController()
          if (what === 'leaves') void clock.sleep(70).then(() => caller.abort())
          return pipeline
            .run(({ signal }) => fn(what, signal), { signal: caller.signal, repeat: 'safe' })
            .then(
              () => {},
              () => {},
            )
        })
        await clock.advance(2_000)
        await Promise.all(calls)
        assert.equal(pipeline.snapshot().leaked, hung.length)
        for (const settle of hung) settle()
        await clock.advance(0)
        const { running, leaked, bulkhead, succeeded, failed } = pipeline.snapshot()
        assert.deepEqual(
          { running, leaked, inFlight: bulkhead?.inFlight, queued: bulkhead?.queued },
          { running: 0, leaked: 0, inFlight: 0, queued: 0 },
        )
        assert.equal(succeeded + failed, fates.length)
        assert.equal(clock.pendingTimers, 0)
      },
    ),
    { numRuns: 60 },
  )
})
