/** A value that prints as `[redacted]` wherever it ends up by accident: a log line, a template, JSON, `console.log`. */
import { inspect } from 'node:util'

/** What stands where a secret was. */
export const REDACTED = '[redacted]'

/** In the global registry, so that two copies of the package recognise each other's secrets. */
const brand: unique symbol = Symbol.for('keelson.secret')

export class Secret<T> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
    Object.defineProperty(this, brand, { value: true })
  }

  /** The value itself; call it only where the value is used. */
  reveal(): T {
    return this.#value
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }
}

Object.defineProperty(Secret.prototype, inspect.custom, { value: () => REDACTED })

export function isSecret(value: unknown): value is Secret<unknown> {
  return typeof value === 'object' && value !== null && brand in value
}
