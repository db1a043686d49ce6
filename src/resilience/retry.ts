/**
 * Retry: decides whether a failed attempt deserves another, and after which pause.
 * Pause: "full jitter", random(0, min(maxDelayMs, baseDelayMs * 2^n)).
 * Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
import { isKeelsonError } from '../core/errors.ts'
import { atLeast, between, integerAtLeast, optional, resolveOptions } from '../core/options.ts'
import { aFunction } from './checks.ts'
import { classify, type ErrorClass } from './classify.ts'
import { withBudgetExhausted } from './errors.ts'
import type { RetryDenial } from './events.ts'
import type { PolicyDeps } from './policy-deps.ts'
import { RetryBudget } from './retry-budget.ts'

export interface RetryOptions {
  /** Attempts in all, the first included. Default: 3. */
  readonly maxAttempts: number
  /** Ceiling of the first pause, in milliseconds; it doubles per attempt. Default: 100. */
  readonly baseDelayMs: number
  /** Ceiling of any pause, in milliseconds. Default: 2_000. */
  readonly maxDelayMs: number
  /** The longest pause that the dependency may ask for, in milliseconds; asked for more, we give up. Default: 10_000. */
  readonly maxRetryAfterMs: number
  /** Retries that one success pays for. Default: 0.2. */
  readonly budgetRatio: number
  /** Most retries that can be saved up; half of them are there at the start. Default: 20. */
  readonly budgetCap: number
  /** Retries per second that need no success. Default: 0.2. */
  readonly budgetPerSecond: number
  /** Asked before the built-in tables; `undefined` leaves the decision to them. Default: none. */
  readonly classify?: ((error: unknown) => ErrorClass | undefined) | undefined
}

export const RETRY_DEFAULTS: RetryOptions = {
  maxAttempts: 3,
  baseDelayMs: 100,
  maxDelayMs: 2_000,
  maxRetryAfterMs: 10_000,
  budgetRatio: 0.2,
  budgetCap: 20,
  budgetPerSecond: 0.2,
}

/** Whether a call may run twice: it changes nothing, it carries an idempotency key, or neither. */
export type Repeat = 'safe' | 'keyed' | 'never'

/** An attempt that failed, and what is left for another. */
export interface FailedAttempt {
  readonly error: unknown
  /** 1 is the first. */
  readonly attempt: number
  readonly repeat: Repeat
  /** Milliseconds until the call's deadline. */
  readonly remainingMs: number
  /** What an attempt usually takes, in milliseconds. */
  readonly expectedMs: number
}

/** A fleet told "come back in 5 s" must not come back together: up to a tenth is added. */
const RETRY_AFTER_SPREAD = 0.1

export class Retry {
  readonly budget: RetryBudget
  readonly #options: RetryOptions
  readonly #deps: PolicyDeps

  constructor(given: Partial<RetryOptions>, deps: PolicyDeps) {
    this.#options = resolveOptions<RetryOptions>('retry', RETRY_DEFAULTS, given, {
      maxAttempts: integerAtLeast(1),
      baseDelayMs: atLeast(0),
      maxDelayMs: atLeast(0),
      maxRetryAfterMs: atLeast(0),
      budgetRatio: between(0, 1),
      budgetCap: atLeast(0),
      budgetPerSecond: atLeast(0),
      classify: optional(aFunction),
    })
    this.#deps = deps
    const { budgetRatio: ratio, budgetCap: cap, budgetPerSecond: perSecond } = this.#options
    this.budget = new RetryBudget({ ratio, cap, perSecond }, deps.clock)
  }

  /**
   * @returns the pause before the next attempt, in milliseconds.
   * @throws the error that the caller shall see, if there is none.
   */
  pauseAfter(failed: FailedAttempt): number {
    this.#demandRepeatable(failed)
    const delayMs = this.#delay(failed)
    // An attempt that can't finish in time would be paid for by everyone and used by nobody.
    if (delayMs + failed.expectedMs >= failed.remainingMs) throw this.#denied('deadline', failed)
    if (!this.budget.withdraw()) throw this.#denied('budget', failed)

    const { attempt, error } = failed
    this.#deps.emit({ type: 'retry.scheduled', source: this.#deps.name, attempt, delayMs, error })
    return delayMs
  }

  #demandRepeatable(failed: FailedAttempt): void {
    const { error, attempt, repeat } = failed
    const what = this.#options.classify?.(error) ?? classify(error)
    if (what !== 'unprocessed' && what !== 'ambiguous') throw error
    if (attempt >= this.#options.maxAttempts) throw this.#denied('attempts', failed)
    if (what === 'ambiguous' && repeat === 'never') throw this.#denied('unsafe', failed)
  }

  #delay(failed: FailedAttempt): number {
    const { baseDelayMs, maxDelayMs, maxRetryAfterMs } = this.#options
    const { random } = this.#deps
    const askedMs = (isKeelsonError(failed.error) && failed.error.retryAfterMs) || 0
    if (askedMs > maxRetryAfterMs) throw this.#denied('retry-after', failed)
    const own = random() * Math.min(maxDelayMs, baseDelayMs * 2 ** (failed.attempt - 1))
    return askedMs > 0 ? Math.max(own, askedMs * (1 + RETRY_AFTER_SPREAD * random())) : own
  }

  #denied(reason: RetryDenial, { error, attempt }: FailedAttempt): unknown {
    this.#deps.emit({ type: 'retry.denied', source: this.#deps.name, attempt, reason, error })
    return reason === 'budget' ? withBudgetExhausted(error) : error
  }
}
