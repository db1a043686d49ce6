/**
 * Claims make an invalidation beat a load in flight. Whoever starts to read or load a value opens a claim first;
 * every invalidation marks the open claims that it concerns; a value is stored only while its claim stands.
 * Nothing is kept per key once nobody works on it, so there is no map of generations to grow.
 */

export interface Claim extends Disposable {
  /**
   * The number of the first invalidation that hit this key, any of these tags, or everything, since the claim was
   * opened; 0 while the claim stands.
   */
  voidedAt(tags: readonly string[]): number
}

export class Claims {
  readonly #open = new Map<string, Set<OpenClaim>>()
  #sequence = 0

  /** The number of the last invalidation. Whoever joins a load now has a right to values not voided before it. */
  get sequence(): number {
    return this.#sequence
  }

  open(key: string): Claim {
    const claim = new OpenClaim(() => {
      claims.delete(claim)
      if (claims.size === 0 && this.#open.get(key) === claims) this.#open.delete(key)
    })
    const claims = this.#open.get(key) ?? new Set<OpenClaim>()
    this.#open.set(key, claims.add(claim))
    return claim
  }

  voidKeys(keys: readonly string[]): void {
    this.#sequence++
    for (const key of keys) {
      for (const claim of this.#open.get(key) ?? []) claim.voidWhole(this.#sequence)
    }
  }

  /** The tags of a value are known for certain only when its load ends, so every open claim takes note of them. */
  voidTags(tags: readonly string[]): void {
    this.#sequence++
    for (const claim of this.#all()) claim.voidTags(tags, this.#sequence)
  }

  voidAll(): void {
    this.#sequence++
    for (const claim of this.#all()) claim.voidWhole(this.#sequence)
  }

  *#all(): Iterable<OpenClaim> {
    for (const claims of this.#open.values()) yield* claims
  }
}

class OpenClaim implements Claim {
  readonly #close: () => void
  #whole = 0
  #tags: Map<string, number> | undefined

  constructor(close: () => void) {
    this.#close = close
  }

  voidWhole(sequence: number): void {
    this.#whole ||= sequence
  }

  voidTags(tags: readonly string[], sequence: number): void {
    this.#tags ??= new Map()
    for (const tag of tags) if (!this.#tags.has(tag)) this.#tags.set(tag, sequence)
  }

  voidedAt(tags: readonly string[]): number {
    const noted = this.#tags
    if (!noted) return this.#whole
    const first = tags.reduce((earliest, tag) => Math.min(earliest, noted.get(tag) ?? Infinity), this.#whole || Infinity)
    return first === Infinity ? 0 : first
  }

  [Symbol.dispose](): void {
    this.#close()
  }
}
