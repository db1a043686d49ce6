import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { createEmitter, subscribe, type TelemetryEvent } from '../../src/core/telemetry.ts'

interface Counted extends TelemetryEvent {
  readonly type: 'thing.counted'
  readonly count: number
}

const event = (count: number): Counted => ({ type: 'thing.counted', source: 'test', count })

test('an event reaches the local listener and every subscriber of the channel', () => {
  const local: Counted[] = []
  const [first, second]: [Counted[], Counted[]] = [[], []]
  using _first = subscribe<Counted>('keelson:test-all', (e) => first.push(e))
  using _second = subscribe<Counted>('keelson:test-all', (e) => second.push(e))
  createEmitter<Counted>('keelson:test-all', (e) => local.push(e))(event(1))
  assert.deepEqual([local, first, second], [[event(1)], [event(1)], [event(1)]])
})

test('a subscription ends when it is disposed, and others go on', () => {
  const heard: string[] = []
  const emit = createEmitter<Counted>('keelson:test-end')
  const first = subscribe<Counted>('keelson:test-end', () => heard.push('first'))
  using _second = subscribe<Counted>('keelson:test-end', () => heard.push('second'))
  emit(event(1))
  first[Symbol.dispose]()
  emit(event(2))
  assert.deepEqual(heard, ['first', 'second', 'second'])
})

test('channels do not hear each other, and an emitter without listeners is content', () => {
  using _other = subscribe('keelson:test-other', () => assert.fail('heard'))
  createEmitter<Counted>('keelson:test-alone')(event(1))
})

test('a listener that throws breaks neither the caller nor the others, and is warned of', async () => {
  const heard: number[] = []
  const broken = (): never => {
    throw new Error('broken listener')
  }
  using _broken = subscribe<Counted>('keelson:test-broken', broken)
  using _fine = subscribe<Counted>('keelson:test-broken', ({ count }) => heard.push(count))
  const emit = createEmitter<Counted>('keelson:test-broken', broken)
  const warned = once(process, 'warning')
  emit(event(1))
  assert.deepEqual(heard, [1])
  const [warning] = (await warned) as [Error & { code?: string }]
  assert.equal(warning.message, 'a telemetry listener threw: broken listener')
  assert.equal(warning.code, 'KEELSON_LISTENER_THREW')
})
