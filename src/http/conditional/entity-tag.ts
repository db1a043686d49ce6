/** Entity tags (RFC 9110 §8.8.3), and lists of them as `If-Match` and `If-None-Match` carry them. */

export interface EntityTag {
  readonly weak: boolean
  /** What stands between the quotes. */
  readonly opaque: string
}

/**
 * As many as a row can be changed, and the end of a Postgres `integer`: a greater number in a client's tag would be an
 * error of the database instead of a version that no row has.
 */
const MAX_VERSION = 2_147_483_647

/** One tag and the comma after it; empty elements are allowed (RFC 9110 §5.6.1). Each character is read once. */
const ELEMENT = /(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"[\t ]*(?:,[\t ,]*|$)/y

const OURS = /^v(0|[1-9]\d{0,9})$/

/** @returns the strong tag of a row's version, as in `"v7"`. @throws TypeError unless it is a whole number below 2^31. */
export function etagOf(version: number): string {
  if (Number.isInteger(version) && version >= 0 && version <= MAX_VERSION) return `"v${version}"`
  throw new TypeError(`a version is a whole number from 0 to ${MAX_VERSION}, got ${String(version)}`)
}

/** @returns the version that a tag stands for; nothing if the tag is weak, or none of ours. */
export function versionOf({ weak, opaque }: EntityTag): number | undefined {
  const version = weak ? NaN : Number(OURS.exec(opaque)?.[1])
  return version <= MAX_VERSION ? version : undefined
}

/** @returns the tags, or `'*'`; nothing if the header is neither. */
export function parseEntityTags(header: string): '*' | readonly EntityTag[] | undefined {
  if (header === '*') return '*'
  const tags: EntityTag[] = []
  ELEMENT.lastIndex = /^[\t ,]*/.exec(header)?.[0].length ?? 0
  while (ELEMENT.lastIndex < header.length) {
    const found = ELEMENT.exec(header)
    if (!found) return undefined
    tags.push({ weak: found[1] !== undefined, opaque: found[2] ?? '' })
  }
  return tags.length > 0 ? tags : undefined
}
