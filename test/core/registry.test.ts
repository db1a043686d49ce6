import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRegistry } from '../../src/core/registry.ts'

test('snapshots are taken when they are asked for, in the order of adding', () => {
  const registry = createRegistry<{ readonly name: string; readonly count: number }>()
  let count = 1
  registry.add({ name: 'a', snapshot: () => ({ name: 'a', count }) })
  registry.add({ name: 'b', snapshot: () => ({ name: 'b', count: -count }) })
  count = 2
  assert.deepEqual(registry.snapshots(), [
    { name: 'a', count: 2 },
    { name: 'b', count: -2 },
  ])
})

test('an instance is listed until it is disposed, which may happen twice; another of its name stays', () => {
  const registry = createRegistry<string>()
  const first = registry.add({ name: 'same', snapshot: () => 'first' })
  registry.add({ name: 'same', snapshot: () => 'second' })
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  assert.deepEqual(registry.snapshots(), ['second'])
})
