import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createPipeline, type BulkheadOptions, type ResilienceEvent } from '../../src/resilience/index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { ControlledWork, never } from './controlled-work.ts'

function limited(bulkhead: Partial<BulkheadOptions>, timeoutMs?: number) {
  const clock = new ManualClock()
  const events: ResilienceEvent[] = []
  const onEvent = (e: ResilienceEvent): void => void events.push(e)
  const pipeline = createPipeline({ name: 'db', bulkhead, timeoutMs, clock, onEvent })
  const counts = () => {
    const { inFlight, queued } = pipeline.snapshot().bulkhead!
    return { inFlight, queued }
  }
  return { clock, pipeline, events, counts }
}

test('runs `limit` at a time, queues `queueLimit`, refuses the rest', async () => {
  const { clock, pipeline, counts, events } = limited({ limit: 2, queueLimit: 1 })
  const work = new ControlledWork()
  const accepted = Array.from({ length: 3 }, () => pipeline.run(work.run))
  await assert.rejects(pipeline.run(work.run), { code: 'KEELSON_BULKHEAD_FULL', kind: 'overloaded' })
  assert.deepEqual(counts(), { inFlight: 2, queued: 1 })
  assert.deepEqual(events, [{ type: 'bulkhead.rejected', source: 'db', inFlight: 2, queued: 1 }])
  await clock.advance(0)
  assert.equal(work.started.length, 2)
  work.started[0]!.succeed()
  await clock.advance(0)
  assert.equal(work.started.length, 3)
  work.started[1]!.succeed()
  work.started[2]!.succeed()
  await Promise.all(accepted)
  assert.deepEqual(counts(), { inFlight: 0, queued: 0 })
})

test('first come, first served', async () => {
  const { clock, pipeline } = limited({ limit: 1, queueLimit: 100 })
  const order: number[] = []
  const all = Array.from({ length: 50 }, (_, i) => pipeline.run(async () => void order.push(i)))
  await clock.advance(0)
  await Promise.all(all)
  assert.deepEqual(
    order,
    Array.from({ length: 50 }, (_, i) => i),
  )
})

test('a freed slot goes to the queue, never to a newcomer', async () => {
  const { clock, pipeline, counts } = limited({ limit: 1, queueLimit: 1 })
  const work = new ControlledWork()
  const first = pipeline.run(work.run)
  const order: string[] = []
  const queued = pipeline.run(async () => void order.push('queued'))
  work.started[0]!.succeed()
  await first
  const newcomer = pipeline.run(async () => void order.push('newcomer'))
  assert.equal(counts().inFlight, 1)
  await clock.advance(0)
  await Promise.all([queued, newcomer])
  assert.deepEqual(order, ['queued', 'newcomer'])
})

test('a caller that leaves the queue leaves at once, and its place is free', async () => {
  const { pipeline, counts } = limited({ limit: 1, queueLimit: 1 })
  void pipeline.run(never)
  const caller = new AbortController()
  const queued = assert.rejects(pipeline.run(never, { signal: caller.signal }), /gone/)
  assert.deepEqual(counts(), { inFlight: 1, queued: 1 })
  caller.abort(new Error('gone'))
  assert.deepEqual(counts(), { inFlight: 1, queued: 0 })
  await queued
})

test('a caller that leaves just as its slot comes passes the slot on', async () => {
  const outcomes = new Set<string>()
  // The slot is handed over within these few turns of the microtask queue: leave before, between and after each.
  for (let microtasks = 0; microtasks < 12; microtasks++) {
    const { clock, pipeline, counts } = limited({ limit: 1 })
    const work = new ControlledWork()
    const first = pipeline.run(work.run)
    const caller = new AbortController()
    let called = false
    const fn = () => void (called = true)
    const second = pipeline.run(fn, { signal: caller.signal }).then(
      () => 'made',
      () => 'left',
    )
    const third = pipeline.run(async () => 'third')
    work.last.succeed()
    for (let i = 0; i < microtasks; i++) await Promise.resolve()
    caller.abort()
    await first
    outcomes.add(`${await second}, ${called ? 'called' : 'not called'}`)
    assert.equal(await third, 'third')
    await clock.advance(0)
    assert.deepEqual(counts(), { inFlight: 0, queued: 0 })
  }
  assert.deepEqual([...outcomes].toSorted(), ['left, called', 'left, not called', 'made, called'])
})

test('a call whose time is up is dropped without being made, though its timer is late', async () => {
  const clock = new ManualClock()
  const lateClock = Object.assign(Object.create(clock) as ManualClock, {
    now: () => clock.now(),
    after: () => ({ [Symbol.dispose]() {} }),
  })
  const pipeline = createPipeline({ name: 'db', bulkhead: { limit: 1 }, timeoutMs: 100, clock: lateClock })
  const work = new ControlledWork()
  const first = pipeline.run(work.run)
  const second = assert.rejects(pipeline.run(work.run), { code: 'KEELSON_TIMEOUT' })
  await clock.advance(100)
  work.last.succeed()
  await first
  await second
  assert.equal(work.started.length, 1)
})

test('a timeout answers a queued caller in time', async () => {
  const { clock, pipeline, counts } = limited({ limit: 1 }, 100)
  const running = assert.rejects(pipeline.run(never))
  const queued = assert.rejects(pipeline.run(never), { code: 'KEELSON_TIMEOUT' })
  await clock.advance(100)
  await Promise.all([running, queued])
  assert.deepEqual(counts(), { inFlight: 1, queued: 0 })
})

test('property: never more than `limit` running, order kept, no slot lost', async () => {
  const op = fc.oneof(
    fc.constant({ op: 'call' as const }),
    fc.record({ op: fc.constant('end' as const), which: fc.nat() }),
    fc.record({ op: fc.constant('leave' as const), which: fc.nat() }),
  )
  const setting = fc.record({ limit: fc.integer({ min: 1, max: 4 }), queueLimit: fc.integer({ min: 0, max: 4 }) })
  await fc.assert(
    fc.asyncProperty(setting, fc.array(op, { maxLength: 60 }), async (options, ops) => {
      const { clock, pipeline, counts } = limited(options)
      const callers: AbortController[] = []
      const startedOrder: number[] = []
      const running = new Map<number, () => void>()
      const results: Promise<unknown>[] = []
      const call = (): void => {
        const id = callers.push(new AbortController()) - 1
        const work = (): Promise<void> => {
          startedOrder.push(id)
          const { promise, resolve } = Promise.withResolvers<void>()
          running.set(id, resolve)
          return promise
        }
        results.push(pipeline.run(work, { signal: callers[id]!.signal }).catch(() => {}))
      }
      const end = (id: number | undefined): void => {
        if (id === undefined) return
        running.get(id)!()
        running.delete(id)
      }
      for (const step of ops) {
        if (step.op === 'call') call()
        else if (step.op === 'leave') callers[step.which % (callers.length || 1)]?.abort()
        else end([...running.keys()][step.which % (running.size || 1)])
        await clock.advance(0)
        assert.ok(running.size <= options.limit)
        assert.equal(counts().inFlight, running.size)
        assert.ok(counts().queued <= options.queueLimit)
        assert.deepEqual(
          startedOrder,
          startedOrder.toSorted((a, b) => a - b),
        )
      }
      while (running.size > 0) {
        end([...running.keys()][0])
        await clock.advance(0)
      }
      await Promise.all(results)
      assert.deepEqual(counts(), { inFlight: 0, queued: 0 })
    }),
    { numRuns: 100 },
  )
})
