/** JSON from outside that has to be an object: parts of a token, a key set. No name may stand in it twice. */
import { parseJson } from '../input/parse-json.ts'

export type JsonObject = Readonly<Record<string, unknown>>

/** @throws KeelsonError `KEELSON_JSON_INVALID`, or a TypeError if it is JSON, but no object. */
export function parseObject(bytes: Buffer): JsonObject {
  const value = parseJson(bytes)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('not a JSON object')
  return value as JsonObject
}
