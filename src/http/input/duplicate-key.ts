/** Where a name stands twice. Slow and simple: only for texts that are refused anyway. */

const SPACE = /[\t\n\r ]*/y
const STRING = /"(?:[^"\\]|\\.)*"/y
const LITERAL = /[^\t\n\r ,\]}]+/y

/** @returns the path of the first name that repeats another of its object; empty if there is none. @param text valid JSON. */
export function findDuplicate(text: string): readonly (string | number)[] {
  return new DuplicateSearch(text).inValue() ?? []
}

type Path = readonly (string | number)[]

class DuplicateSearch {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  inValue(): Path | undefined {
    this.#take(SPACE)
    const first = this.#text[this.#at]
    if (first === '{') return this.#inObject()
    if (first === '[') return this.#inArray()
    this.#take(first === '"' ? STRING : LITERAL)
    return undefined
  }

  #inObject(): Path | undefined {
    const names = new Set<string>()
    while (this.#next('}')) {
      const name = JSON.parse(this.#take(STRING)) as string
      if (names.has(name)) return [name]
      names.add(name)
      this.#take(SPACE)
      this.#at++
      const path = this.inValue()
      if (path) return [name, ...path]
    }
    return undefined
  }

  #inArray(): Path | undefined {
    for (let index = 0; this.#next(']'); index++) {
      const path = this.inValue()
      if (path) return [index, ...path]
    }
    return undefined
  }

  /** Steps over what opens or separates; false at the end, which it steps over too. */
  #next(end: string): boolean {
    this.#take(SPACE)
    const char = this.#text[this.#at]
    if (char === '{' || char === '[' || char === ',' || char === end) this.#at++
    this.#take(SPACE)
    if (char === end) return false
    if (this.#text[this.#at] !== end) return true
    this.#at++
    return false
  }

  #take(token: RegExp): string {
    token.lastIndex = this.#at
    const taken = token.exec(this.#text)?.[0] ?? ''
    this.#at += taken.length
    return taken
  }
}
