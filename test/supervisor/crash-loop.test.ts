/** When a dead worker is replaced, without any process. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isKeelsonError } from '../../src/core/errors.ts'
import { createRestartPolicy, RESTART_DEFAULTS } from '../../src/supervisor/index.ts'

const noJitter = (): number => 0
const { youngMs, maxBootDelayMs, maxCrashDelayMs, maxFailures } = RESTART_DEFAULTS

test('the first worker that dies after serving is replaced without delay', () => {
  assert.deepEqual(createRestartPolicy().died(0), { delayMs: 0, failures: 1, giveUp: false })
})

test('failures to boot are retried after 100 ms, then twice as long each time, up to 30 s', () => {
  const policy = createRestartPolicy({}, noJitter)
  policy.ready()
  const delays = Array.from({ length: 11 }, () => policy.died(undefined).delayMs)
  assert.deepEqual(delays, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000])
})

test('in its first second a boot loop starts fewer than five workers, whatever chance does', () => {
  const policy = createRestartPolicy({}, () => 0.999)
  const delays = Array.from({ length: 4 }, () => policy.died(undefined).delayMs)
  assert.ok(delays.reduce((sum, ms) => sum + ms) > 1_000)
})

test('workers that die young wait longer each time, but never more than a second', () => {
  const policy = createRestartPolicy({}, noJitter)
  policy.ready()
  const delays = Array.from({ length: 7 }, () => policy.died(50).delayMs)
  assert.deepEqual(delays, [0, 100, 200, 400, 800, 1_000, 1_000])
})

test('a worker that lived long enough is replaced at once, and forgives the young deaths before', () => {
  const policy = createRestartPolicy({}, noJitter)
  for (let death = 0; death < 4; death++) policy.died(50)
  assert.deepEqual(policy.died(youngMs), { delayMs: 0, failures: 0, giveUp: false })
  assert.equal(policy.died(50).delayMs, 0)
})

test('five failures in a row end it while nothing was ever ready, of whatever kind', () => {
  const policy = createRestartPolicy()
  const servedMs = [undefined, 50, undefined, 50, undefined]
  assert.deepEqual(
    servedMs.map((served) => policy.died(served).giveUp),
    [false, false, false, false, true],
  )
})

test('a boot forgives the failures to boot before it', () => {
  const policy = createRestartPolicy()
  for (let failure = 1; failure < maxFailures; failure++) policy.died(undefined)
  policy.booted()
  assert.deepEqual({ ...policy.died(undefined), delayMs: 0 }, { delayMs: 0, failures: 1, giveUp: false })
})

test('it never gives up once something was ready, and no delay ever leaves its bounds', () => {
  const life = fc.option(fc.integer({ min: 0, max: 2 * youngMs }), { nil: undefined })
  fc.assert(
    fc.property(fc.array(life, { maxLength: 60 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (lives, chance) => {
      const policy = createRestartPolicy({}, () => chance)
      policy.ready()
      for (const served of lives) {
        const { delayMs, giveUp } = policy.died(served)
        assert.equal(giveUp, false)
        assert.ok(delayMs >= 0 && delayMs <= (served === undefined ? maxBootDelayMs : maxCrashDelayMs))
        if (served !== undefined && served >= youngMs) assert.equal(delayMs, 0)
      }
    }),
  )
})

test('options out of range are refused by name', () => {
  for (const [option, value] of [
    ['baseDelayMs', 0],
    ['maxFailures', 1.5],
    ['jitterRatio', 2],
  ] as const) {
    assert.throws(
      () => createRestartPolicy({ [option]: value }),
      (error) => isKeelsonError(error, 'KEELSON_CONFIG_INVALID') && error.message.includes(option),
    )
  }
})
