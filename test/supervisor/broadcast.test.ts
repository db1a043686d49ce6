/** What one worker tells the others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually, startArbiter, text } from './fixtures/running.ts'

test("a worker's messages reach every other worker, in order, and not itself", async () => {
  await using service = await startArbiter({ workers: 3 })
  await service.log.nth('worker.ready', 3)
  const words = Array.from({ length: 50 }, (_, index) => `w${index}`)
  await text(`${service.url}/broadcast?${words.map((word) => `word=${word}`).join('&')}`)

  const heard = new Map<number, Heard['words']>()
  await eventually('two workers to have heard all', async () => {
    // Several at once, so that more than one worker gets to accept.
    const answers = await Promise.all(Array.from({ length: 6 }, () => text(`${service.url}/heard`)))
    for (const { worker, words: list } of answers.map((answer): Heard => JSON.parse(answer))) heard.set(worker, list)
    return heard.size === 3 && [...heard.values()].filter((list) => list.length === words.length).length === 2
  })
  const from = [...heard].find(([, list]) => list.length === 0)?.[0]
  const expected = words.map((word) => ({ word, from }))
  for (const [worker, list] of heard) assert.deepEqual(list, worker === from ? [] : expected)
})

interface Heard {
  readonly worker: number
  readonly words: readonly { readonly word: string; readonly from: number }[]
}
