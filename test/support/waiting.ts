/** Waiting for things that send no event, with a bound; never a fixed sleep. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface Patience {
  /** Time until giving up, in milliseconds. Default: 15_000, because these machines are busy. */
  readonly limitMs?: number
  /** Pause between two looks, in milliseconds. Default: 20. */
  readonly everyMs?: number
}

/** Looks until there is something: returns the first value that is neither `undefined` nor `false`. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  { limitMs = 15_000, everyMs = 20 }: Patience = {},
): Promise<T> {
  const limit = performance.now() + limitMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > limit) throw new Error(`waited ${limitMs} ms in vain for ${what}`)
    await sleep(everyMs)
  }
}

/** Milliseconds that `work` took, and what it gave. */
export async function timed<T>(work: () => Promise<T>): Promise<[ms: number, value: T]> {
  const startedAt = performance.now()
  const value = await work()
  return [Math.round(performance.now() - startedAt), value]
}
