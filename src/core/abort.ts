/** Linking abort signals without `AbortSignal.any`, whose bookkeeping costs more than the calls it guards. */

/** A signal that never aborts, for callers that give none. */
export const NEVER: AbortSignal = new AbortController().signal

export interface LinkedSignal extends Disposable {
  readonly signal: AbortSignal
  abort(reason: unknown): void
}

/** A signal that aborts with `parent` or on its own; dispose it when the work ends, to leave no listener behind. */
export function linkSignal(parent: AbortSignal): LinkedSignal {
  const own = new AbortController()
  const follow = (): void => own.abort(parent.reason)
  if (parent.aborted) follow()
  else parent.addEventListener('abort', follow, { once: true })
  return {
    signal: own.signal,
    abort: (reason) => own.abort(reason),
    [Symbol.dispose]: () => parent.removeEventListener('abort', follow),
  }
}

/** Calls `fn` when `signal` aborts, at once if it has; dispose to stop listening. */
export function onAbort(signal: AbortSignal, fn: (reason: unknown) => void): Disposable {
  if (signal.aborted) {
    fn(signal.reason)
    return { [Symbol.dispose]() {} }
  }
  const listener = (): void => fn(signal.reason)
  signal.addEventListener('abort', listener, { once: true })
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', listener) }
}

/**
 * Settles as `work` does, or rejects with `signal.reason` as soon as `signal` aborts; `work` itself goes on.
 * What becomes of its late result is the caller's business: give `work` its own handlers if that matters.
 */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const listening = onAbort(signal, reject)
  work.then(resolve, reject)
  return promise.finally(() => listening[Symbol.dispose]())
}
