/** Which keys of the first level carry which tag; as large as the entries it lists, never larger. */

export class TagIndex {
  readonly #keys = new Map<string, Set<string>>()

  add(key: string, tags: readonly string[]): void {
    for (const tag of tags) {
      const keys = this.#keys.get(tag)
      if (keys) keys.add(key)
      else this.#keys.set(tag, new Set([key]))
    }
  }

  remove(key: string, tags: readonly string[]): void {
    for (const tag of tags) {
      const keys = this.#keys.get(tag)
      keys?.delete(key)
      if (keys?.size === 0) this.#keys.delete(tag)
    }
  }

  /** A copy, because removing the keys changes the index. */
  keysOf(tag: string): readonly string[] {
    return [...(this.#keys.get(tag) ?? [])]
  }
}
