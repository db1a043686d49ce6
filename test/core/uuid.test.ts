import assert from 'node:assert/strict'
import { test } from 'node:test'
import { uuidv7 } from '../../src/core/uuid.ts'
import { ManualClock } from '../../src/testing/index.ts'

test('an id has version 7, the RFC 9562 variant, and the time in front', () => {
  const clock = new ManualClock(0x0190_0000_0000)
  const id = uuidv7(clock)
  assert.match(id, /^01900000-0000-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})

test('ids made at later milliseconds sort after earlier ones', async () => {
  const clock = new ManualClock()
  const ids: string[] = []
  for (let i = 0; i < 50; i++) {
    ids.push(uuidv7(clock))
    await clock.advance(1)
  }
  assert.deepEqual(ids.toSorted(), ids)
})

test('no two ids are alike, across many refills of the pool of random bytes', () => {
  const ids = Array.from({ length: 20_000 }, () => uuidv7())
  assert.equal(new Set(ids).size, ids.length)
})
