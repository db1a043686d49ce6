/** Remembers keys that are gone, as 32-bit fingerprints in order of leaving, so that their return is recognised. */
import { randomInt } from 'node:crypto'

/** Remembered even by an almost empty cache. */
const MIN_LENGTH = 64

export class GhostList {
  /** Of this process, so that nobody outside can choose keys that share a fingerprint. */
  readonly #salt = randomInt(2 ** 32)
  readonly #fingerprints = new Set<number>()
  /** Kept between calls: a fresh iterator would first have to pass all the holes that removals left at the front. */
  #fromOldest = this.#fingerprints.values()

  /** Adds `key` and forgets the oldest ones beyond `maxLength`. */
  add(key: string, maxLength: number): void {
    this.#fingerprints.add(this.#fingerprint(key))
    while (this.#fingerprints.size > Math.max(MIN_LENGTH, maxLength)) this.#fingerprints.delete(this.#oldest())
  }

  /** Whether `key` was here; it is not any more. */
  take(key: string): boolean {
    return this.#fingerprints.delete(this.#fingerprint(key))
  }

  clear(): void {
    this.#fingerprints.clear()
  }

  /** All before it were removed, so the next one is the oldest. */
  #oldest(): number {
    const next = this.#fromOldest.next()
    if (!next.done) return next.value
    this.#fromOldest = this.#fingerprints.values()
    return this.#fromOldest.next().value!
  }

  /** FNV-1a over the UTF-16 code units. */
  #fingerprint(key: string): number {
    let hash = this.#salt
    for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
    return hash >>> 0
  }
}
