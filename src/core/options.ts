/** Options: declared once with unit, default and check; merged, checked and frozen here. */
import { KeelsonError } from './errors.ts'

/** Says what is wrong with a value as `must be …`, or nothing. */
export type Check = (value: unknown) => string | undefined

export const atLeast =
  (min: number): Check =>
  (v) =>
    typeof v === 'number' && v >= min ? undefined : `must be a number >= ${min}`

export const integerAtLeast =
  (min: number): Check =>
  (v) =>
    Number.isSafeInteger(v) && (v as number) >= min ? undefined : `must be an integer >= ${min}`

export const between =
  (min: number, max: number): Check =>
  (v) =>
    typeof v === 'number' && v >= min && v <= max ? undefined : `must be a number from ${min} to ${max}`

export const oneOf =
  (...allowed: readonly unknown[]): Check =>
  (v) =>
    allowed.includes(v) ? undefined : `must be one of ${allowed.map(String).join(', ')}`

export const nonEmptyString: Check = (v) => (typeof v === 'string' && v !== '' ? undefined : 'must be a non-empty string')

/** Applies `check` unless the value is `undefined`. */
export const optional =
  (check: Check): Check =>
  (v) =>
    v === undefined ? undefined : check(v)

/**
 * Returns `given` over `defaults`, frozen; an option given as `undefined` takes its default.
 * @throws KeelsonError `KEELSON_CONFIG_INVALID` naming the option, the rule and the value received; an unknown option too.
 */
export function resolveOptions<T extends object>(
  owner: string,
  defaults: T,
  given: { readonly [K in keyof T]?: T[K] | undefined } | undefined,
  checks: Partial<Record<keyof T & string, Check>>,
): Readonly<T> {
  const merged: T = { ...defaults }
  for (const [name, value] of Object.entries(given ?? {}) as [keyof T & string, T[keyof T & string]][]) {
    if (!Object.hasOwn(defaults, name) && !Object.hasOwn(checks, name))
      throw invalidOption(owner, name, 'is not an option', value)
    if (value !== undefined) merged[name] = value
  }
  for (const [name, check] of Object.entries(checks) as [keyof T & string, Check][]) {
    const problem = check(merged[name])
    if (problem) throw invalidOption(owner, name, problem, merged[name])
  }
  return Object.freeze(merged)
}

/** @returns the error that every refused option is reported with. */
export function invalidOption(
  owner: string,
  option: string,
  rule: string,
  received: unknown,
): KeelsonError<'KEELSON_CONFIG_INVALID'> {
  return new KeelsonError('KEELSON_CONFIG_INVALID', 'invalid', `${owner}: \`${option}\` ${rule}, got ${describe(received)}`, {
    details: { owner, option },
  })
}

function describe(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return String(value)
}
