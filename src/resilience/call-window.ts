/** Counts of the last calls, in ten slots of time. No timer: slots age by arithmetic, also while nobody calls. */

const SLOTS = 10

export class CallWindow {
  calls = 0
  failures = 0
  slow = 0
  readonly #slotMs: number
  readonly #calls = new Uint32Array(SLOTS)
  readonly #failures = new Uint32Array(SLOTS)
  readonly #slow = new Uint32Array(SLOTS)
  /** Number of the newest slot, counted from time 0. */
  #newest = 0

  constructor(windowMs: number) {
    this.#slotMs = windowMs / SLOTS
  }

  record(now: number, failed: boolean, slow: boolean): void {
    this.age(now)
    const slot = this.#newest % SLOTS
    this.calls++
    this.#calls[slot]!++
    if (failed) {
      this.failures++
      this.#failures[slot]!++
    }
    if (slow) {
      this.slow++
      this.#slow[slot]!++
    }
  }

  /** Forgets what is older than the window. */
  age(now: number): void {
    const newest = Math.floor(now / this.#slotMs)
    if (newest - this.#newest >= SLOTS) this.clear()
    else for (let slot = this.#newest + 1; slot <= newest; slot++) this.#empty(slot % SLOTS)
    this.#newest = newest
  }

  clear(): void {
    for (let slot = 0; slot < SLOTS; slot++) this.#empty(slot)
  }

  #empty(slot: number): void {
    this.calls -= this.#calls[slot]!
    this.failures -= this.#failures[slot]!
    this.slow -= this.#slow[slot]!
    this.#calls[slot] = this.#failures[slot] = this.#slow[slot] = 0
  }
}
