import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KeelsonError } from '../../src/core/errors.ts'
import { createPipeline, type PipelineOptions, type ResilienceEvent } from '../../src/resilience/index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { down, refusedByPeer } from './controlled-work.ts'

function retrying(options: Partial<PipelineOptions> = {}) {
  const clock = new ManualClock()
  const events: ResilienceEvent[] = []
  const pipeline = createPipeline({
    name: 'users',
    retry: {},
    clock,
    random: () => 0.5,
    onEvent: (e) => events.push(e),
    ...options,
  })
  const denials = () => events.flatMap((e) => (e.type === 'retry.denied' ? [e.reason] : []))
  const pauses = () => events.flatMap((e) => (e.type === 'retry.scheduled' ? [e.delayMs] : []))
  return { clock, pipeline, events, denials, pauses }
}

/** Fails `failures` times, then returns how often it was called. */
function flaky(failures: number, error: () => unknown = down) {
  let calls = 0
  return {
    calls: () => calls,
    fn: async () => {
      if (++calls <= failures) throw error()
      return calls
    },
  }
}

test('pauses base * 2^n times the random draw, and reports each pause', async () => {
  const { clock, pipeline, pauses } = retrying()
  const { fn, calls } = flaky(2)
  const result = pipeline.run(fn, { repeat: 'safe' })
  await clock.advance(49)
  assert.equal(calls(), 1)
  await clock.advance(1)
  assert.equal(calls(), 2)
  await clock.advance(100)
  assert.equal(await result, 3)
  assert.deepEqual(pauses(), [50, 100])
})

test('no pause exceeds maxDelayMs', async () => {
  const { clock, pipeline, pauses } = retrying({ retry: { maxAttempts: 6, maxDelayMs: 300 }, random: () => 1 })
  const result = pipeline.run(flaky(5).fn, { repeat: 'safe' })
  await clock.advance(10_000)
  await result
  assert.deepEqual(pauses(), [100, 200, 300, 300, 300])
})

test('after the last attempt the caller gets the last error itself', async () => {
  const { clock, pipeline, denials } = retrying({ random: () => 0 })
  const errors: unknown[] = []
  const result = pipeline.run(
    () => {
      errors.push(down())
      throw errors.at(-1)
    },
    { repeat: 'safe' },
  )
  const caught = result.catch((error: unknown) => error)
  await clock.advance(0)
  assert.equal(await caught, errors[2])
  assert.equal(errors.length, 3)
  assert.deepEqual(denials(), ['attempts'])
})

test('by default nothing is repeated that may have taken effect', async () => {
  const { pipeline, denials } = retrying()
  const { fn, calls } = flaky(1)
  await assert.rejects(pipeline.run(fn), { code: 'TEST_DOWN' })
  assert.equal(calls(), 1)
  assert.deepEqual(denials(), ['unsafe'])
})

test('what never reached the dependency is repeated even then', async () => {
  const { clock, pipeline } = retrying()
  const result = pipeline.run(flaky(1, refusedByPeer).fn)
  await clock.advance(50)
  assert.equal(await result, 2)
})

test('a Keelson error around such an error counts the same', async () => {
  const { clock, pipeline } = retrying()
  const wrapped = () => new KeelsonError('TEST_DOWN', 'unavailable', 'down', { cause: refusedByPeer() })
  const result = pipeline.run(flaky(1, wrapped).fn)
  await clock.advance(50)
  assert.equal(await result, 2)
})

test('errors that would come again, and unknown ones, are not retried', async () => {
  const { pipeline, denials } = retrying()
  for (const error of [new KeelsonError('TEST_NO', 'conflict', 'no'), new TypeError('bug'), 'a string', undefined]) {
    const { fn, calls } = flaky(1, () => error)
    assert.equal(await pipeline.run(fn, { repeat: 'safe' }).catch((e: unknown) => e), error)
    assert.equal(calls(), 1)
  }
  assert.deepEqual(denials(), [])
})

test('a classifier of the caller is asked before the tables', async () => {
  const classify = (error: unknown) => (error instanceof TypeError ? ('ambiguous' as const) : undefined)
  const { clock, pipeline } = retrying({ retry: { classify } })
  const result = pipeline.run(flaky(1, () => new TypeError('odd')).fn, { repeat: 'keyed' })
  await clock.advance(50)
  assert.equal(await result, 2)
})

test('a dependency that asks for a pause gets it, with up to a tenth more', async () => {
  const busy = () => new KeelsonError('TEST_BUSY', 'overloaded', 'busy', { retryAfterMs: 3_000 })
  const { clock, pipeline, pauses } = retrying()
  const result = pipeline.run(flaky(1, busy).fn, { repeat: 'safe' })
  await clock.advance(3_150)
  assert.equal(await result, 2)
  assert.deepEqual(pauses(), [3_150])
})

test('a dependency that asks for more than 10 s is not waited for', async () => {
  const busy = () => new KeelsonError('TEST_BUSY', 'overloaded', 'busy', { retryAfterMs: 10_001 })
  const { pipeline, denials } = retrying()
  await assert.rejects(pipeline.run(flaky(1, busy).fn, { repeat: 'safe' }), { retryAfterMs: 10_001 })
  assert.deepEqual(denials(), ['retry-after'])
})

test('never sleeps into a deadline: the real error comes at once', async () => {
  const { clock, pipeline, denials } = retrying({ timeoutMs: 50 })
  await assert.rejects(pipeline.run(flaky(1).fn, { repeat: 'safe' }), { code: 'TEST_DOWN' })
  assert.equal(clock.now(), 0)
  assert.deepEqual(denials(), ['deadline'])
})

test('an attempt that usually takes longer than is left is not begun', async () => {
  const { clock, pipeline, denials } = retrying({ timeoutMs: 1_000 })
  const usual = pipeline.run(() => clock.sleep(600))
  await clock.advance(600)
  await usual
  const result = assert.rejects(
    pipeline.run(() => clock.sleep(500).then(() => Promise.reject(down())), { repeat: 'safe' }),
    { code: 'TEST_DOWN' },
  )
  await clock.advance(500)
  await result
  assert.deepEqual(denials(), ['deadline'])
})

test('an exhausted budget stops retries, and tells the layers above not to try either', async () => {
  const { clock, pipeline, denials } = retrying({ random: () => 0 })
  const errors: unknown[] = []
  for (let i = 0; i < 6; i++) {
    const result = pipeline.run(flaky(9).fn, { repeat: 'safe' }).catch((error: unknown) => errors.push(error))
    await clock.advance(0)
    await result
  }
  const last = errors.at(-1) as KeelsonError
  assert.equal(denials().at(-1), 'budget')
  assert.equal(last.code, 'TEST_DOWN')
  assert.equal(last.details['retryBudgetExhausted'], true)
  assert.equal(last.retryable, false)
  assert.equal((last.cause as KeelsonError).retryable, true)
})

test('a foreign error is not touched when the budget is exhausted', async () => {
  const { pipeline, denials } = retrying({ retry: { budgetCap: 0 } })
  const error = Object.freeze(refusedByPeer())
  assert.equal(await pipeline.run(flaky(1, () => error).fn).catch((e: unknown) => e), error)
  assert.deepEqual(denials(), ['budget'])
})

test('property: retries never exceed start + trickle * t + 0.2 * successes', async () => {
  const step = fc.oneof(
    fc.record({ op: fc.constant('call'), succeeds: fc.constantFrom(false, false, false, true) }),
    fc.record({ op: fc.constant('wait'), ms: fc.integer({ min: 0, max: 5_000 }) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 80 }), async (steps) => {
      const { clock, pipeline, pauses } = retrying({ random: () => 0 })
      let successes = 0
      for (const s of steps) {
        if ('ms' in s) {
          await clock.advance(s.ms)
          continue
        }
        const attempts = flaky(s.succeeds ? 0 : Infinity)
        const result = pipeline.run(attempts.fn, { repeat: 'safe' }).catch(() => {})
        await clock.advance(0)
        await result
        if (s.succeeds) successes++
        assert.ok(pauses().length <= 10 + (0.2 * clock.now()) / 1_000 + 0.2 * successes + 1e-6)
        const { tokens, cap } = pipeline.snapshot().retryBudget!
        assert.ok(tokens >= 0 && tokens <= cap)
      }
    }),
    { numRuns: 60 },
  )
})

test('a full outage costs no more than the start of the budget, however many calls', async () => {
  const { clock, pipeline, pauses } = retrying({ random: () => 0 })
  for (let i = 0; i < 300; i++) {
    const result = pipeline.run(flaky(Infinity).fn, { repeat: 'safe' }).catch(() => {})
    await clock.advance(0)
    await result
  }
  assert.equal(pauses().length, 10)
})

test('successes earn retries: a dependency that fails one call in ten gets all it needs', async () => {
  const { clock, pipeline, denials } = retrying({ random: () => 0 })
  for (let i = 0; i < 300; i++) {
    const result = pipeline.run(flaky(i % 10 === 0 ? 1 : 0).fn, { repeat: 'safe' })
    await clock.advance(0)
    await result
  }
  assert.deepEqual(denials(), [])
})
