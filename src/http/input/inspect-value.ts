/** What bytes do not show: the walk over a parsed value, no deeper than the scan before it allowed. */
import type { Finding, JsonLimits, JsonRule } from './json-limits.ts'

interface Inspection {
  readonly limits: JsonLimits
  /** Whether the text has `\u` escapes at all. */
  readonly escaped: boolean
  /** Members met so far. */
  readonly seen: { keys: number }
}

/** @returns the first rule that `value` breaks, if it does. */
export function inspect(value: unknown, inspection: Inspection): Finding | undefined {
  if (typeof value === 'string') return inspectText(value, inspection)
  if (typeof value === 'number') {
    return Number.isFinite(value) ? undefined : finding('number_out_of_range', 'a number is too large')
  }
  if (typeof value !== 'object' || value === null) return undefined
  return Array.isArray(value) ? inspectArray(value, inspection) : inspectObject(value as Record<string, unknown>, inspection)
}

function inspectText(text: string, { limits, escaped }: Inspection): Finding | undefined {
  if (text.length > limits.maxStringLength) {
    return finding('string_too_long', `a string is longer than ${limits.maxStringLength}`)
  }
  if (!escaped) return undefined
  if (!text.isWellFormed()) return finding('lone_surrogate', 'a string has half a surrogate pair')
  return text.includes('\0') ? finding('nul', 'a string has a NUL') : undefined
}

function inspectArray(items: readonly unknown[], inspection: Inspection): Finding | undefined {
  const { maxItems } = inspection.limits
  if (items.length > maxItems) return finding('too_many_items', `an array has more than ${maxItems} elements`)
  for (let i = 0; i < items.length; i++) {
    const found = inspect(items[i], inspection)
    if (found) return within(found, i)
  }
  return undefined
}

function inspectObject(object: Readonly<Record<string, unknown>>, inspection: Inspection): Finding | undefined {
  const names = Object.keys(object)
  inspection.seen.keys += names.length
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string
    const value = object[name]
    const found = inspectName(name, value, inspection) ?? inspect(value, inspection)
    if (found) return within(found, name)
  }
  return undefined
}

function inspectName(name: string, value: unknown, inspection: Inspection): Finding | undefined {
  // Names that a careless merge would follow into a prototype that all objects share.
  const reachesPrototype =
    name === '__proto__' ||
    (name === 'constructor' && typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype'))
  if (reachesPrototype) return finding('forbidden_name', 'this name is not allowed')
  return inspectText(name, inspection)
}

function finding(rule: JsonRule, message: string): Finding {
  return { rule, message, path: [] }
}

function within(found: Finding, step: string | number): Finding {
  found.path.unshift(step)
  return found
}
