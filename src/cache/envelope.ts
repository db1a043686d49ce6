/**
 * What an entry looks like in Redis: a line for the scripts, a line of JSON about the value, the value as JSON.
 *
 *     K1 <token> <start> <fresh until> <kept until> <version of clear>,<version of each tag>
 *     ["<schema>", ["<tag>", …]]
 *     <value>
 *
 * A placeholder is the first three words alone: nothing is there, but somebody is loading it. Times are Redis' own
 * (`start` in microseconds, the others in milliseconds). The scripts in `scripts.ts` read and write the first line.
 */

export const FORMAT = 'K1'

export interface Envelope {
  /** Milliseconds of Redis' clock. */
  readonly freshUntil: number
  readonly keptUntil: number
  readonly tags: readonly string[]
  /** Of `clear()` first, then of each tag; the entry is valid while they are all as they were. */
  readonly versions: readonly string[]
  readonly value: unknown
}

/**
 * The lines that the scripts don't touch; `undefined` for a value that JSON cannot write: around a getter, for one,
 * `JSON.stringify` recurses, and a deep value exhausts the stack.
 */
export function encodeBody(schema: string, tags: readonly string[], value: unknown): string | undefined {
  try {
    return `${JSON.stringify([schema, tags])}\n${JSON.stringify(value)}`
  } catch {
    return undefined
  }
}

/** Returns `undefined` for a placeholder, another format or schema, and anything broken: all of them are misses. */
export function decode(text: string, schema: string): Envelope | undefined {
  const endOfHead = text.indexOf('\n')
  const endOfAbout = text.indexOf('\n', endOfHead + 1)
  if (endOfHead < 0 || endOfAbout < 0) return undefined
  const [format, , , freshUntil, keptUntil, versions] = text.slice(0, endOfHead).split(' ')
  if (format !== FORMAT || !versions) return undefined
  try {
    const about: unknown = JSON.parse(text.slice(endOfHead + 1, endOfAbout))
    const tags = tagsOf(about, schema)
    const envelope = { freshUntil: Number(freshUntil), keptUntil: Number(keptUntil), versions: versions.split(',') }
    const sane = Number.isFinite(envelope.freshUntil + envelope.keptUntil) && envelope.versions.length === (tags?.length ?? 0) + 1
    return tags && sane ? { ...envelope, tags, value: JSON.parse(text.slice(endOfAbout + 1)) } : undefined
  } catch {
    return undefined
  }
}

function tagsOf(about: unknown, schema: string): readonly string[] | undefined {
  if (!Array.isArray(about) || about[0] !== schema || !Array.isArray(about[1])) return undefined
  const tags: unknown[] = about[1]
  return tags.every((tag) => typeof tag === 'string') ? tags : undefined
}
