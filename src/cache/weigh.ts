/** What a value weighs in memory, and whether it survives JSON: one bounded walk answers both. */
import { types } from 'node:util'

export interface Weight {
  /** An estimate that rather says too much; `Infinity` for a value of too many parts to walk, or a cyclic one. */
  readonly bytes: number
  /**
   * Whether reading it back from JSON gives an equal value, as far as it was walked: no dates, maps, class instances,
   * NaN or functions.
   */
  readonly json: boolean
}

const MAX_NODES = 100_000
const SLOT_BYTES = 8
const HEADER_BYTES = 32
/** Beyond this many properties an object may be a hash table. */
const MAX_RECORD_PROPERTIES = 16
const TABLE_SLOT_BYTES = 56

export function weigh(value: unknown): Weight {
  const left: unknown[] = [value]
  const names = new Set<string>()
  let bytes = 0
  let json = true
  for (let nodes = 0; left.length > 0; nodes++) {
    const node = left.pop()
    bytes += SLOT_BYTES
    if (typeof node === 'object' && node !== null) {
      if (!pushChildren(left, node, MAX_NODES - nodes)) return { bytes: Infinity, json }
      bytes += HEADER_BYTES + binaryBytes(node) + propertyBytes(node, names)
      json &&= isPlain(node)
    } else {
      bytes += typeof node === 'string' ? stringBytes(node) : 0
      json &&= survivesJson(node)
    }
  }
  return { bytes, json }
}

/** Returns whether they are few enough. Stops as soon as they are not: an array of millions must not even be copied. */
function pushChildren(left: unknown[], node: object, maxLength: number): boolean {
  for (const child of children(node)) if (left.push(child) >= maxLength) return false
  return true
}

/** `undefined` as a property disappears, which reads the same; `isPlain` refuses it in arrays, where it becomes null. */
function survivesJson(node: unknown): boolean {
  if (typeof node === 'number') return Number.isFinite(node)
  return node === null || node === undefined || typeof node === 'string' || typeof node === 'boolean'
}

function isPlain(node: object): boolean {
  if (Array.isArray(node)) return !node.includes(undefined)
  const prototype: unknown = Object.getPrototypeOf(node)
  return prototype === Object.prototype || prototype === null
}

function children(node: object): Iterable<unknown> {
  if (ArrayBuffer.isView(node)) return []
  if (node instanceof Map) return keysAndValues(node)
  if (Array.isArray(node) || node instanceof Set) return node
  return Object.values(node)
}

function* keysAndValues(map: ReadonlyMap<unknown, unknown>): Iterable<unknown> {
  yield* map.keys()
  yield* map.values()
}

/** What lies outside of the object itself, where a walk does not come. */
function binaryBytes(node: object): number {
  if (ArrayBuffer.isView(node) || types.isAnyArrayBuffer(node)) return node.byteLength
  return node instanceof Blob ? node.size : 0
}

/**
 * Objects share the names of their properties, so each name counts once: little for a list of records, much for a
 * dictionary. V8 keeps what has more than a few properties in a hash table, which takes up to 60 bytes for each.
 */
function propertyBytes(node: object, names: Set<string>): number {
  if (Array.isArray(node) || ArrayBuffer.isView(node)) return 0
  const own = Object.keys(node)
  let bytes = own.length > MAX_RECORD_PROPERTIES ? own.length * TABLE_SLOT_BYTES : 0
  for (const name of own) {
    if (names.has(name)) continue
    names.add(name)
    bytes += stringBytes(name)
  }
  return bytes
}

function stringBytes(text: string): number {
  return HEADER_BYTES + text.length * 2
}
