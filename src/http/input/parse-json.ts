/**
 * `JSON.parse` with limits, and without the freedoms that RFC 8259 leaves: a name that stands twice (§4) is read
 * differently by different parsers, and lone surrogates or NULs are stored differently by different databases (§8.2).
 *
 * One pass over the bytes bounds depth and counts members; the native parser does the rest; a walk over what it made
 * checks strings, numbers and names. Duplicates cost nothing to find: they are the members that the walk misses,
 * with their escapes already decoded. Only then are they looked for by name.
 */
import { isUtf8 } from 'node:buffer'
import { findDuplicate } from './duplicate-key.ts'
import { inspect } from './inspect-value.ts'
import { JSON_LIMITS, jsonRefused, type JsonLimits } from './json-limits.ts'
import { countMembers } from './scan-structure.ts'

/**
 * @param bytes UTF-8, without a byte order mark.
 * @throws KeelsonError `KEELSON_JSON_INVALID` whose one problem has the rule as its code, and the JSON pointer.
 */
export function parseJson(bytes: Buffer, limits: JsonLimits = JSON_LIMITS): unknown {
  checkEncoding(bytes)
  const members = countMembers(bytes, limits)
  const text = bytes.toString('utf8')
  const value = parse(text)
  const seen = { keys: 0 }
  // Neither a NUL nor half a surrogate pair gets past the checks above but as an escape.
  const finding = inspect(value, { limits, seen, escaped: text.includes('\\u') })
  if (finding) throw jsonRefused(finding.rule, finding.message, finding.path)
  if (seen.keys !== members) throw jsonRefused('duplicate_key', 'a name stands twice in one object', findDuplicate(text))
  return value
}

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

function checkEncoding(bytes: Buffer): void {
  if (bytes.length === 0) throw jsonRefused('empty', 'there is none')
  if (bytes[0] === BYTE_ORDER_MARK[0] && bytes.subarray(0, 3).equals(BYTE_ORDER_MARK)) {
    throw jsonRefused('byte_order_mark', 'it begins with a byte order mark')
  }
  if (!isUtf8(bytes)) throw jsonRefused('invalid_utf8', 'it is not UTF-8')
  const nul = bytes.indexOf(0)
  if (nul !== -1) throw jsonRefused('nul', `it has a NUL at byte ${nul}`)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // V8's message quotes the text.
    throw jsonRefused('syntax', 'it is not JSON')
  }
}
