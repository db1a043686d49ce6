/**
 * What Redis has yet to be told. A key stays here from before the command is sent until it is answered; meanwhile
 * nothing that Redis says of it counts. Bounded: too many keys become one "everything".
 */

/** What stops being true: these keys, everything with one of these tags, or all. Keys are canonical. */
export interface Change {
  readonly keys: readonly string[]
  readonly tags: readonly string[]
  readonly clear: boolean
}

const MAX_PENDING = 10_000

export class PendingInvalidations {
  readonly #keys = new Map<string, number>()
  readonly #tags = new Map<string, number>()
  #clear = 0
  #sequence = 0

  get size(): number {
    return this.#keys.size + this.#tags.size + (this.#clear > 0 ? 1 : 0)
  }

  /** Whether what Redis says of this key cannot be relied on. */
  concerns(key: string): boolean {
    return this.#clear > 0 || this.#keys.has(key)
  }

  concernsAny(tags: readonly string[]): boolean {
    return tags.some((tag) => this.#tags.has(tag))
  }

  /** Returns a receipt for `settle`. */
  add(change: Change): number {
    const receipt = ++this.#sequence
    for (const key of change.keys) this.#keys.set(key, receipt)
    for (const tag of change.tags) this.#tags.set(tag, receipt)
    if (change.clear) this.#clear = receipt
    return receipt
  }

  /** Keeps what could not be told within bounds: too many keys become "everything". */
  keepBounded(): void {
    if (this.size > MAX_PENDING) {
      this.#keys.clear()
      this.#tags.clear()
      this.#clear = ++this.#sequence
    }
  }

  /** Redis knows of `change`; what was added again since stays. */
  settle(change: Change, receipt: number): void {
    for (const key of change.keys) forget(this.#keys, key, receipt)
    for (const tag of change.tags) forget(this.#tags, tag, receipt)
    if (change.clear && this.#clear <= receipt) this.#clear = 0
  }

  /** All of it as one change, with the receipt to settle it. */
  all(): { readonly change: Change; readonly receipt: number } {
    const change = { keys: [...this.#keys.keys()], tags: [...this.#tags.keys()], clear: this.#clear > 0 }
    return { change, receipt: this.#sequence }
  }
}

function forget(receipts: Map<string, number>, name: string, receipt: number): void {
  if ((receipts.get(name) ?? Infinity) <= receipt) receipts.delete(name)
}
