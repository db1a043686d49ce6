/**
 * Time as a dependency: the only file in the repository that may touch
 * `setTimeout`, `performance.now` or `Date.now`.
 */
import { performance } from 'node:perf_hooks'

export interface Clock {
  /** Monotonic time, in milliseconds. Use for durations; never compare across processes. */
  now(): number
  /** Wall-clock time, in milliseconds since the Unix epoch. Use for values that leave the process, and for tokens. */
  wallNow(): number
  /** Runs `fn` once after `ms` milliseconds; disposing the result cancels it. Does not keep the process alive. */
  after(ms: number, fn: () => void): Disposable
  /**
   * Resolves after `ms` milliseconds; keeps the process alive, because somebody awaits it.
   * @throws `signal.reason` as soon as `signal` aborts.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** The longest delay a Node timer takes; a longer one would fire at once (2^31 - 1 ms, about 24.8 days). */
const MAX_TIMER_MS = 2_147_483_647

/** Builds `sleep` from an `after`, so that real and manual clocks share one abort path. */
export function sleepWith(after: Clock['after'], ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.reject(signal.reason)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onAbort = (): void => reject(signal?.reason)
  const timer = after(ms, resolve)
  signal?.addEventListener('abort', onAbort, { once: true })
  return promise.finally(() => {
    timer[Symbol.dispose]()
    signal?.removeEventListener('abort', onAbort)
  })
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  after: (ms, fn) => startTimer(ms, fn, false),
  sleep: (ms, signal) => sleepWith((delay, fn) => startTimer(delay, fn, true), ms, signal),
}

function startTimer(ms: number, fn: () => void, keepAlive: boolean): Disposable {
  let timer: NodeJS.Timeout
  const arm = (left: number): void => {
    timer = left > MAX_TIMER_MS ? setTimeout(() => arm(left - MAX_TIMER_MS), MAX_TIMER_MS) : setTimeout(fn, left)
    if (!keepAlive) timer.unref()
  }
  arm(ms)
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}

/** Calls `fn`, which must not throw, every `ms` milliseconds until disposed, the pause counted from the end of the last call. */
export function every(clock: Clock, ms: number, fn: () => void | Promise<void>): Disposable {
  let stopped = false
  let timer: Disposable
  const tick = async (): Promise<void> => {
    await fn()
    if (!stopped) timer = clock.after(ms, () => void tick())
  }
  timer = clock.after(ms, () => void tick())
  return {
    [Symbol.dispose]() {
      stopped = true
      timer[Symbol.dispose]()
    },
  }
}
