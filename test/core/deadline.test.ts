import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDeadline } from '../../src/core/deadline.ts'
import { ManualClock } from '../../src/testing/index.ts'

test('the time left shrinks, ends at zero, and the signal aborts with a timeout', async () => {
  const clock = new ManualClock()
  const expired: unknown[] = []
  const deadline = createDeadline({ timeoutMs: 100, clock, onExpired: (error) => expired.push(error.code) })
  const { signal } = deadline
  await clock.advance(40)
  assert.equal(deadline.remainingMs, 60)
  assert.equal(signal.aborted, false)
  await clock.advance(60)
  assert.equal(deadline.remainingMs, 0)
  assert.equal(signal.reason.code, 'KEELSON_DEADLINE_EXCEEDED')
  assert.equal(signal.reason.kind, 'timeout')
  assert.deepEqual(expired, ['KEELSON_DEADLINE_EXCEEDED'])
})

test('a signal first asked for after the end is already aborted', async () => {
  const clock = new ManualClock()
  const deadline = createDeadline({ timeoutMs: 10, clock })
  await clock.advance(10)
  assert.equal(deadline.signal.aborted, true)
})

test('cancelling ends it at once with the given reason, and leaves no timer', () => {
  const clock = new ManualClock()
  const deadline = createDeadline({ timeoutMs: 100, clock })
  const gone = new Error('gone')
  deadline.cancel(gone)
  deadline.cancel(new Error('later'))
  assert.equal(deadline.signal.reason, gone)
  assert.equal(deadline.remainingMs, 0)
  assert.equal(clock.pendingTimers, 0)
})

test('a disposed deadline never aborts', async () => {
  const clock = new ManualClock()
  const deadline = createDeadline({ timeoutMs: 10, clock })
  const { signal } = deadline
  deadline[Symbol.dispose]()
  await clock.advance(50)
  assert.equal(signal.aborted, false)
})

test('no deadline is a deadline at infinity, without a timer', () => {
  const clock = new ManualClock()
  const deadline = createDeadline({ timeoutMs: Infinity, clock })
  assert.equal(deadline.remainingMs, Infinity)
  assert.equal(clock.pendingTimers, 0)
})
