/**
 * The last look at a log line: credentials inside of strings are masked, and characters that could hide or reorder text
 * on a terminal are escaped. Works on finished JSON, and leaves it valid.
 */
import { REDACTED } from '../../core/secret.ts'

/** C1 controls, line separators, marks and overrides of writing direction; JSON itself escapes only what is below U+0020. */
const UNSAFE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/
const ALL_UNSAFE = new RegExp(UNSAFE, 'g')

/** One cheap pass that clears almost every line. */
const SUSPECT = /:\/\/|=|earer |asic |eyJ/i

const PATTERNS: readonly (readonly [RegExp, string])[] = [
  // user:password@ of a connection string; the host stays. Bounded, so that no text makes it slow.
  [/:\/\/[^\s"/?#@:]{0,256}:[^\s"]{0,512}@/g, `://${REDACTED}@`],
  // Short names mean a secret only in a query.
  [/([?&;](?:key|code|sig|signature|pwd)=)[^&\s"\\;]+/gi, `$1${REDACTED}`],
  [/((?:token|secret|password|passwd|api[_-]?key)=)[^&\s"\\;]+/gi, `$1${REDACTED}`],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${REDACTED}`],
  // A JSON web token, wherever it turns up.
  [/\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*/g, REDACTED],
]

export function scrub(line: string): string {
  let clean = line
  if (SUSPECT.test(line)) for (const [pattern, replacement] of PATTERNS) clean = clean.replace(pattern, replacement)
  return UNSAFE.test(clean) ? clean.replace(ALL_UNSAFE, escaped) : clean
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}
