/** What one pipeline is made of, as its calls and attempts see it. */
import type { Breaker } from './breaker.ts'
import type { Bulkhead } from './bulkhead.ts'
import type { Leaks } from './leaks.ts'
import type { Median } from './median.ts'
import type { PolicyDeps } from './policy-deps.ts'
import type { Retry } from './retry.ts'

export interface Policies extends PolicyDeps {
  /** `Infinity` for none. */
  readonly timeoutMs: number
  /** `Infinity` for none. */
  readonly attemptTimeoutMs: number
  readonly retry: Retry | undefined
  readonly breaker: Breaker | undefined
  readonly bulkhead: Bulkhead | undefined
  readonly leaks: Leaks
  /** What a successful attempt takes, in milliseconds. */
  readonly typicalMs: Median
}
