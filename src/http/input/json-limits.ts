/** What a JSON text may contain, and the error that says which of these rules it broke. */
import { KeelsonError } from '../../core/errors.ts'

export interface JsonLimits {
  /** Objects and arrays within each other. Default: 32. */
  readonly maxDepth: number
  /** Members of all objects together. Default: 1_000. */
  readonly maxKeys: number
  /** Elements of one array. Default: 10_000. */
  readonly maxItems: number
  /** Length of one string or name, in UTF-16 units. Default: 65_536. */
  readonly maxStringLength: number
}

export const JSON_LIMITS: JsonLimits = { maxDepth: 32, maxKeys: 1_000, maxItems: 10_000, maxStringLength: 65_536 }

/** Why a text was refused; also the `code` of the problem. */
export type JsonRule =
  | 'empty'
  | 'byte_order_mark'
  | 'invalid_utf8'
  | 'nul'
  | 'syntax'
  | 'too_deep'
  | 'too_many_keys'
  | 'too_many_items'
  | 'string_too_long'
  | 'lone_surrogate'
  | 'number_out_of_range'
  | 'forbidden_name'
  | 'duplicate_key'

/** A broken rule, and where; the path grows from the inside out while the search returns. */
export interface Finding {
  readonly rule: JsonRule
  readonly message: string
  readonly path: (string | number)[]
}

/** @returns the error of every refused text. The message never has a value of it. */
export function jsonRefused(rule: JsonRule, message: string, path: readonly (string | number)[] = []): KeelsonError {
  return new KeelsonError('KEELSON_JSON_INVALID', 'invalid', `the JSON text is refused: ${message}`, {
    problems: [{ pointer: pointerOf(path), code: rule, message }],
  })
}

/** A name may be as long as the text. Long enough for any real path. */
const MAX_POINTER_LENGTH = 256

/** JSON pointer (RFC 6901). */
export function pointerOf(path: readonly PropertyKey[]): string {
  const pointer = path.map((step) => '/' + String(step).replaceAll('~', '~0').replaceAll('/', '~1')).join('')
  return pointer.length <= MAX_POINTER_LENGTH ? pointer : `${pointer.slice(0, MAX_POINTER_LENGTH)}…`
}
