/** Freezes a value to its leaves, so that a caller who changes what others share is told at once. */

export function deepFreeze<T>(value: T): T {
  const left: unknown[] = [value]
  while (left.length > 0) {
    const node = left.pop()
    // The bytes of a view cannot be frozen; trying throws.
    if (typeof node !== 'object' || node === null || Object.isFrozen(node) || ArrayBuffer.isView(node)) continue
    Object.freeze(node)
    for (const child of Object.values(node)) left.push(child)
  }
  return value
}
