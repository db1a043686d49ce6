/** Fallback: another answer when all else failed, for a caller that still waits for one. */
import { untilAborted } from '../core/abort.ts'
import { Call, type RunOptions } from './call.ts'
import type { PolicyDeps } from './policy-deps.ts'

/** Makes the answer from the error; throws, e.g. the same error, where there is none. */
export type Fallback<F> = (error: unknown) => PromiseLike<F> | F

/**
 * The pipeline's own time is spent by now: only the caller's signal and deadline bound the fallback.
 * @throws `error` if the caller has left; what `fallback` throws; `signal.reason` if the caller leaves meanwhile.
 */
export async function fallBack<F>(fallback: Fallback<F>, error: unknown, options: RunOptions, deps: PolicyDeps): Promise<F> {
  using caller = new Call(deps, options, Infinity)
  if (caller.remainingMs <= 0) throw error
  deps.emit({ type: 'fallback.used', source: deps.name, error })
  return await untilAborted(Promise.resolve(fallback(error)), caller.signal)
}
