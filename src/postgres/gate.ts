/**
 * A fair semaphore whose waiters can leave: it stands before the pool, whose own queue can't be left,
 * and before the cancel requests, which must not become a load of their own.
 */
import { onAbort } from '../core/abort.ts'

interface Waiter {
  enter(): void
  refuse(reason: unknown): void
}

export class Gate {
  #free: number
  #closed: { readonly reason: unknown } | undefined
  readonly #waiters = new Set<Waiter>()

  constructor(places: number) {
    this.#free = places
  }

  get waiting(): number {
    return this.#waiters.size
  }

  /** Takes a place if one is free and nobody waits for it. */
  tryEnter(): boolean {
    if (this.#closed || this.#free === 0) return false
    this.#free--
    return true
  }

  /** @throws `signal.reason`, or what `close` was given. */
  async enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.tryEnter()) return
    if (this.#closed) throw this.#closed.reason
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter: Waiter = { enter: resolve, refuse: reject }
    this.#waiters.add(waiter)
    using _listening = onAbort(signal, (reason) => {
      if (this.#waiters.delete(waiter)) reject(reason)
    })
    await promise
  }

  /** Gives the place to who has waited longest. */
  leave(): void {
    const [first] = this.#waiters
    if (!first) {
      this.#free++
      return
    }
    this.#waiters.delete(first)
    first.enter()
  }

  /** Refuses everybody from now on, those who wait included; those inside leave as usual. */
  close(reason: unknown): void {
    this.#closed = { reason }
    for (const waiter of this.#waiters) waiter.refuse(reason)
    this.#waiters.clear()
  }
}
