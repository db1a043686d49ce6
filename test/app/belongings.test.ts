import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Belongings } from '../../src/app/belongings.ts'

function noted(order: string[], name: string, failure?: Error): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      order.push(name)
      if (failure) throw failure
    },
  }
}

test('the last that was added is the first to go, and nothing goes twice', async () => {
  const order: string[] = []
  const belongings = new Belongings()
  belongings.add(noted(order, 'log'))
  belongings.add({ [Symbol.dispose]: () => void order.push('verifier') })
  belongings.add(noted(order, 'database'))
  await belongings[Symbol.asyncDispose]()
  await belongings[Symbol.asyncDispose]()
  assert.deepEqual(order, ['database', 'verifier', 'log'])
})

test('one that fails does not keep the others open, and is told of', async () => {
  const order: string[] = []
  const [first, second] = [new Error('first'), new Error('second')]
  const one = new Belongings()
  one.add(noted(order, 'a'))
  one.add(noted(order, 'b', first))
  await assert.rejects(one[Symbol.asyncDispose](), first)
  assert.deepEqual(order, ['b', 'a'])
  const two = new Belongings()
  two.add(noted(order, 'c', first))
  two.add(noted(order, 'd', second))
  await assert.rejects(two[Symbol.asyncDispose](), (error: AggregateError) => {
    assert.deepEqual(error.errors, [second, first])
    return true
  })
})
