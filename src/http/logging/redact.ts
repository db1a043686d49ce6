/**
 * Makes what is logged safe to keep: secrets are masked by their type and by the name of their field, at any depth, and
 * everything is bounded, so that logging a large object costs neither time nor the disk.
 * Fields after the OWASP Logging Cheat Sheet, "Data to exclude".
 */
import { isSecret, REDACTED } from '../../core/secret.ts'
import { errorFields } from './error-fields.ts'

const MAX_STRING_CHARS = 1_024
const MAX_STACK_CHARS = 2_048
const MAX_KEYS = 50
const MAX_DEPTH = 5
/** Of one line, however its values nest. */
const MAX_VALUES = 1_000
const MAX_REMEMBERED_NAMES = 2_000

/** Lower case, without separators. A name that ends with one of these is masked too: `smtpPassword`, `x-api-key`. */
const ENDINGS = [
  'password',
  'passwd',
  'passphrase',
  'secret',
  'token',
  'apikey',
  'privatekey',
  'authorization',
  'cookie',
] as const
const NAMES = ['pwd', 'card', 'cardnumber', 'cvv', 'cvc', 'ssn', 'iban', 'connectionstring', 'databaseurl', 'redisurl'] as const

/** @param extra names masked besides the built-in ones; case, `-` and `_` don't matter. */
export function redactor(extra: readonly string[] = []): (fields: object) => Record<string, unknown> {
  const names = new Set<string>([...NAMES, ...extra.map(normal)])
  const remembered = new Map<string, boolean>()

  function sensitive(name: string): boolean {
    const known = remembered.get(name)
    if (known !== undefined) return known
    const bare = normal(name)
    const answer = names.has(bare) || ENDINGS.some((ending) => bare.endsWith(ending))
    if (remembered.size < MAX_REMEMBERED_NAMES) remembered.set(name, answer)
    return answer
  }

  return function redact(fields) {
    try {
      return new Walk(sensitive).object(fields, 0)
    } catch {
      // A getter or a `toJSON` threw: whoever logs must not fail for it.
      return { unreadable: true }
    }
  }
}

/** One pass over one line's fields. */
class Walk {
  readonly #sensitive: (name: string) => boolean
  #left = MAX_VALUES

  constructor(sensitive: (name: string) => boolean) {
    this.#sensitive = sensitive
  }

  object(source: object, depth: number): Record<string, unknown> {
    const clean: Record<string, unknown> = {}
    let keys = 0
    for (const name of Object.keys(source)) {
      if (++keys > MAX_KEYS || --this.#left < 0) {
        clean['cut'] = true
        break
      }
      const value: unknown = Reflect.get(source, name)
      if (value !== undefined) clean[name] = this.#sensitive(name) ? masked(value) : this.#value(value, depth, name)
    }
    return clean
  }

  #value(value: unknown, depth: number, name: string): unknown {
    switch (typeof value) {
      case 'string':
        return cut(value, name === 'stack' ? MAX_STACK_CHARS : MAX_STRING_CHARS)
      case 'bigint':
        return String(value)
      case 'object':
        return value === null ? null : this.#nested(value, depth + 1)
      default:
        return value
    }
  }

  #nested(value: object, depth: number): unknown {
    if (isSecret(value)) return REDACTED
    // Causes nest deeper than other things, and are bounded by themselves.
    if (value instanceof Error) return this.object(errorFields(value), depth - MAX_DEPTH)
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
    if (isMessage(value)) return { method: value.method, url: value.url, statusCode: value.statusCode }
    if (depth > MAX_DEPTH) return Array.isArray(value) ? '[array]' : '[object]'
    if (Array.isArray(value))
      return value.slice(0, Math.max(0, Math.min(MAX_KEYS, this.#left))).map((item) => this.#item(item, depth))
    if ('toJSON' in value && typeof value.toJSON === 'function') return this.#value(value.toJSON(), depth, '')
    return this.object(value, depth)
  }

  #item(item: unknown, depth: number): unknown {
    this.#left--
    return this.#value(item, depth, '')
  }
}

interface Message {
  readonly method?: string
  readonly url?: string
  readonly statusCode?: number
}

/** A request or a reply, of Node or Fastify: their insides are endless, and full of headers. */
function isMessage(value: object): value is Message {
  return ('socket' in value && 'headers' in value) || 'getHeader' in value
}

function masked(value: unknown): unknown {
  return value === null || typeof value === 'boolean' ? value : REDACTED
}

export function cut(text: string, maxChars: number): string {
  return text.length > maxChars ? `${text.slice(0, maxChars)}…` : text
}

function normal(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '')
}
