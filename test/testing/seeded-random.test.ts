import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../src/testing/seeded-random.ts'

const draws = (seed: number, n: number): number[] => Array.from({ length: n }, seededRandom(seed))

test('the same seed gives the same draws, another seed gives others', () => {
  assert.deepEqual(draws(7, 100), draws(7, 100))
  assert.notDeepEqual(draws(7, 100), draws(8, 100))
})

test('draws are spread evenly over [0, 1)', () => {
  const buckets = Array.from({ length: 10 }, () => 0)
  for (const x of draws(1, 10_000)) {
    assert.ok(x >= 0 && x < 1)
    buckets[Math.floor(x * 10)]!++
  }
  for (const n of buckets) assert.ok(n > 850 && n < 1_150, `${n} of 10000 in one tenth`)
})
