/**
 * How the caches of one machine tell each other what is no longer true. The default tells nobody; an app binds it to
 * whatever reaches its other processes. Delivery may be late, repeated or missing: the bound on staleness holds
 * without it, it only makes the usual case a matter of milliseconds.
 */

/** Plain data, so that it passes through any channel. */
export interface InvalidationMessage {
  /** The cache's name. */
  readonly cache: string
  /** The cache object that sent it, which ignores its own messages. */
  readonly origin: string
  /** Canonical keys. */
  readonly keys: readonly string[]
  readonly tags: readonly string[]
  readonly clear: boolean
  /** Whether Redis could not be told: then each receiver mistrusts what Redis says of these, and tells it as well. */
  readonly deferred: boolean
}

export interface InvalidationBus {
  /** Must not throw, and must not wait. */
  publish(message: InvalidationMessage): void
  /** `listener` hears what others publish, until the result is disposed. */
  subscribe(listener: (message: InvalidationMessage) => void): Disposable
}

export const SILENT_BUS: InvalidationBus = {
  publish() {},
  subscribe: () => ({ [Symbol.dispose]() {} }),
}

/** Whether something that came from another process can be acted on. */
export function isInvalidationMessage(message: unknown): message is InvalidationMessage {
  if (typeof message !== 'object' || message === null) return false
  const { cache, origin, keys, tags, clear } = message as Partial<InvalidationMessage>
  return (
    typeof cache === 'string' && typeof origin === 'string' && isStrings(keys) && isStrings(tags) && typeof clear === 'boolean'
  )
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
