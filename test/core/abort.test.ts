import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { linkSignal, NEVER, onAbort, untilAborted } from '../../src/core/abort.ts'

const gone = new Error('gone')

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length
}

test('a linked signal aborts with its parent, for the same reason', () => {
  const parent = new AbortController()
  using linked = linkSignal(parent.signal)
  assert.equal(linked.signal.aborted, false)
  parent.abort(gone)
  assert.equal(linked.signal.reason, gone)
})

test('a linked signal aborts on its own, and its parent does not', () => {
  const parent = new AbortController()
  using linked = linkSignal(parent.signal)
  linked.abort(gone)
  assert.equal(linked.signal.reason, gone)
  assert.equal(parent.signal.aborted, false)
  parent.abort(new Error('later'))
  assert.equal(linked.signal.reason, gone)
})

test('a signal linked to an aborted one is aborted from the start', () => {
  using linked = linkSignal(AbortSignal.abort(gone))
  assert.equal(linked.signal.reason, gone)
})

test('a disposed link leaves no listener and follows no more', () => {
  const parent = new AbortController()
  const linked = linkSignal(parent.signal)
  assert.equal(listeners(parent.signal), 1)
  linked[Symbol.dispose]()
  assert.equal(listeners(parent.signal), 0)
  parent.abort(gone)
  assert.equal(linked.signal.aborted, false)
})

test('onAbort calls once with the reason, at once if it is too late to wait', () => {
  const controller = new AbortController()
  const heard: unknown[] = []
  onAbort(controller.signal, (reason) => heard.push(reason))
  assert.equal(heard.length, 0)
  controller.abort(gone)
  controller.abort(new Error('again'))
  onAbort(controller.signal, (reason) => heard.push(reason))
  assert.deepEqual(heard, [gone, gone])
})

test('onAbort no longer calls, and leaves no listener, once it is disposed', () => {
  const controller = new AbortController()
  const listening = onAbort(controller.signal, () => assert.fail('called'))
  listening[Symbol.dispose]()
  assert.equal(listeners(controller.signal), 0)
  controller.abort(gone)
})

test('untilAborted settles as the work does, and leaves no listener', async () => {
  const { signal } = new AbortController()
  assert.equal(await untilAborted(Promise.resolve(7), signal), 7)
  await assert.rejects(untilAborted(Promise.reject(gone), signal), gone)
  assert.equal(listeners(signal), 0)
})

test('untilAborted rejects with the reason as soon as the signal aborts, and the work goes on', async () => {
  const controller = new AbortController()
  const work = Promise.withResolvers<number>()
  const waiting = untilAborted(work.promise, controller.signal)
  controller.abort(gone)
  await assert.rejects(waiting, gone)
  assert.equal(listeners(controller.signal), 0)
  work.resolve(7)
  assert.equal(await work.promise, 7)
})

test('work that fails after it was given up is no unhandled rejection', async () => {
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', note)
  const work = Promise.withResolvers<number>()
  await assert.rejects(untilAborted(work.promise, AbortSignal.abort(gone)), gone)
  work.reject(new Error('too late'))
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', note)
  assert.deepEqual(unhandled, [])
})

test('the signal of callers who give none never aborts, and gathers no listeners', async () => {
  for (let i = 0; i < 20; i++) {
    using _link = linkSignal(NEVER)
    await untilAborted(Promise.resolve(), NEVER)
  }
  assert.equal(listeners(NEVER), 0)
})
