/** What the cache tests share: a settled turn, a loader under control, a bus with delays, nodes over one Redis. */
import assert from 'node:assert/strict'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import {
  createCache,
  type Cache,
  type CacheConfig,
  type InvalidationBus,
  type InvalidationMessage,
} from '../../src/cache/index.ts'
import { connectRedis, type RedisConnection } from '../../src/redis/index.ts'

/** Lets everything that is due happen, without time passing. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn()
}

/** Polls, because what is waited for happens in another process. */
export async function until(condition: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const end = performance.now() + withinMs
  while (!(await condition())) {
    assert.ok(performance.now() < end, `not true within ${withinMs} ms: ${condition.toString()}`)
    await sleep(2)
  }
}

/** A loader whose calls the test ends, in any order. */
export function manualLoader<T>(): {
  readonly calls: { resolve(value: T | null): void; reject(error: unknown): void; readonly signal: AbortSignal }[]
  load(this: void, context: { readonly signal: AbortSignal }): Promise<T | null>
} {
  const calls: { resolve(value: T | null): void; reject(error: unknown): void; readonly signal: AbortSignal }[] = []
  return {
    calls,
    load({ signal }) {
      const { promise, resolve, reject } = Promise.withResolvers<T | null>()
      calls.push({ resolve, reject, signal })
      return promise
    },
  }
}

/** Delivers to all others, when told to (`deliver`) or at once. */
export function memoryBus({ held = false } = {}): {
  readonly messages: InvalidationMessage[]
  port(): InvalidationBus
  deliver(): void
} {
  const ports: Set<(message: InvalidationMessage) => void>[] = []
  const messages: InvalidationMessage[] = []
  const waiting: (() => void)[] = []
  return {
    messages,
    deliver: () => waiting.splice(0).forEach((send) => send()),
    port() {
      const listeners = new Set<(message: InvalidationMessage) => void>()
      ports.push(listeners)
      return {
        publish(message) {
          // As between processes, nothing but plain data arrives.
          const copy = JSON.parse(JSON.stringify(message)) as InvalidationMessage
          messages.push(copy)
          const others = ports.filter((port) => port !== listeners)
          const send = (): void => others.forEach((port) => port.forEach((listener) => listener(copy)))
          if (held) waiting.push(send)
          else send()
        },
        subscribe(listener) {
          listeners.add(listener)
          return { [Symbol.dispose]: () => void listeners.delete(listener) }
        },
      }
    },
  }
}

export interface Node<T> extends AsyncDisposable {
  readonly cache: Cache<T>
  readonly redis: RedisConnection
}

/** A cache with a connection of its own, as another process would have. Time limits suit a busy machine, unless the test gives its own. */
export async function node<T>(url: string, config: Omit<CacheConfig, 'redis'>): Promise<Node<T>> {
  const redis = await connectRedis({ url, commandTimeoutMs: 10_000, connectTimeoutMs: 5_000 })
  const cache = createCache<T>({ l2TimeoutMs: 10_000, ...config, redis: redis.client })
  return {
    cache,
    redis,
    async [Symbol.asyncDispose]() {
      await cache[Symbol.asyncDispose]()
      await redis.close()
    },
  }
}
