/** What a value weighs in memory, and whether it survives JSON: one bounded walk answers both. */

export interface Weight {
  /** An estimate that rather says too much; `Infinity` for a value too large or too cyclic to walk. */
  readonly bytes: number
  /** Whether reading it back from JSON gives an equal value: no dates, maps, class instances, NaN or functions. */
  readonly json: boolean
}

const MAX_NODES = 100_000
const SLOT_BYTES = 8
const HEADER_BYTES = 32
const TOO_COMPLEX: Weight = { bytes: Infinity, json: false }

export function weigh(value: unknown): Weight {
  const left: unknown[] = [value]
  let bytes = 0
  let json = true
  for (let nodes = 0; left.length > 0; nodes++) {
    if (nodes + left.length > MAX_NODES) return TOO_COMPLEX
    const node = left.pop()
    bytes += SLOT_BYTES
    if (typeof node === 'object' && node !== null) {
      bytes += HEADER_BYTES + ownBytes(node)
      json &&= isPlain(node)
      for (const child of children(node)) left.push(child)
    } else {
      bytes += typeof node === 'string' ? HEADER_BYTES + node.length * 2 : 0
      json &&= survivesJson(node)
    }
  }
  return { bytes, json }
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
  if (node instanceof Map) return [...node.keys(), ...node.values()]
  if (Array.isArray(node) || node instanceof Set) return node
  return Object.values(node)
}

function ownBytes(node: object): number {
  return ArrayBuffer.isView(node) ? node.byteLength : 0
}
