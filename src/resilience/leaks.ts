/**
 * Work that outlives its caller. It can't be stopped from outside, only counted: it holds its bulkhead slot, and
 * someone should know. Work that stops soon after its signal aborts is counted while it lasts, but not reported.
 */
import type { PolicyDeps } from './policy-deps.ts'

/** How long work may take to notice that its signal aborted, in milliseconds. */
const GRACE_MS = 100

export class Leaks {
  readonly #deps: PolicyDeps
  #running = 0

  constructor(deps: PolicyDeps) {
    this.#deps = deps
  }

  /** Abandoned work that runs now. */
  get running(): number {
    return this.#running
  }

  /** Counts abandoned work until the result is disposed. */
  add(attempt: number): Disposable {
    this.#running++
    const report = this.#deps.clock.after(GRACE_MS, () => {
      this.#deps.emit({ type: 'work.leaked', source: this.#deps.name, attempt, leaked: this.#running })
    })
    return {
      [Symbol.dispose]: () => {
        report[Symbol.dispose]()
        this.#running--
      },
    }
  }
}
