/** One pass over the bytes of a JSON text, before it is parsed: how deep it is, and how many members its objects have. */
import { jsonRefused, type JsonLimits } from './json-limits.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const OPEN_BRACE = 0x7b
const OPEN_BRACKET = 0x5b
const CLOSE_BRACE = 0x7d
const CLOSE_BRACKET = 0x5d

/**
 * Bytes of UTF-8 sequences never look like ASCII, so bytes will do. A text that isn't JSON gives a number that means nothing.
 * @returns the members of all objects together, those that stand twice counted twice.
 * @throws KeelsonError `KEELSON_JSON_INVALID` (`too_deep`, `too_many_keys`), with the offset of the byte that was too much.
 */
export function countMembers(bytes: Uint8Array, { maxDepth, maxKeys }: JsonLimits): number {
  let depth = 0
  let members = 0
  for (let i = 0; i < bytes.length; i++) {
    switch (bytes[i]) {
      case QUOTE:
        i = endOfString(bytes, i + 1)
        break
      case COLON:
        if (++members > maxKeys) throw jsonRefused('too_many_keys', `it has more than ${maxKeys} names, at byte ${i}`)
        break
      case OPEN_BRACE:
      case OPEN_BRACKET:
        if (++depth > maxDepth) throw jsonRefused('too_deep', `it is nested deeper than ${maxDepth}, at byte ${i}`)
        break
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        depth--
        break
    }
  }
  return members
}

function endOfString(bytes: Uint8Array, from: number): number {
  let i = from
  while (i < bytes.length && bytes[i] !== QUOTE) i += bytes[i] === BACKSLASH ? 2 : 1
  return i
}
