/** A clock that moves only when told to; `advance` runs due timers in order, letting promises settle between them. */
import { setImmediate as settle } from 'node:timers/promises'
import { sleepWith, type Clock } from '../core/clock.ts'

interface Timer {
  readonly dueAt: number
  readonly fn: () => void
}

export class ManualClock implements Clock {
  #now = 0
  readonly #epoch: number
  readonly #timers = new Set<Timer>()

  /** @param epoch wall-clock time at `now() === 0`, in milliseconds since the Unix epoch. */
  constructor(epoch: number = Date.UTC(2026, 0, 1)) {
    this.#epoch = epoch
  }

  now(): number {
    return this.#now
  }

  wallNow(): number {
    return this.#epoch + this.#now
  }

  after(ms: number, fn: () => void): Disposable {
    // As with real timers, a delay below 0 is none: time never goes back.
    const timer: Timer = { dueAt: this.#now + Math.max(0, ms), fn }
    this.#timers.add(timer)
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) }
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepWith((delay, fn) => this.after(delay, fn), ms, signal)
  }

  /** How many timers are waiting; a test asserts 0 to show that nothing was left behind. */
  get pendingTimers(): number {
    return this.#timers.size
  }

  /** Moves time forward by `ms` milliseconds. */
  async advance(ms: number): Promise<void> {
    const target = this.#now + ms
    for (await settle(); ; await settle()) {
      const [due] = [...this.#timers].filter((t) => t.dueAt <= target).toSorted((a, b) => a.dueAt - b.dueAt)
      if (!due) break
      this.#timers.delete(due)
      this.#now = due.dueAt
      due.fn()
    }
    this.#now = target
  }
}
