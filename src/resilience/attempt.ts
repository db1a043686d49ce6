/**
 * One attempt: runs the function, and answers its caller as soon as the work settles, its time is up or the call ends.
 * The work itself can't be stopped from outside: its bulkhead slot stays taken until it settles.
 */
import type { Deadline } from '../core/deadline.ts'
import { isKeelsonError } from '../core/errors.ts'
import type { BreakerPermit } from './breaker.ts'
import type { Call } from './call.ts'
import { timeoutError } from './errors.ts'
import type { Policies } from './policies.ts'
import { verdictOn, type Verdict } from './verdict.ts'

/** What the guarded function is handed. */
export interface AttemptContext {
  /** Aborts when this attempt's result is no longer wanted; never after it succeeded. Made on first use. */
  readonly signal: AbortSignal
  /** 1 for the first. */
  readonly attempt: number
  /** The time that this attempt has, with the same signal; to hand on to what it calls. */
  readonly deadline: Deadline
}

export type Attemptable<T> = (context: AttemptContext) => PromiseLike<T> | T

/** A call cut short by its deadline tells on the dependency only if it had time enough: this many usual durations. */
const FAIR_CHANCE = 4

export class Attempt<T> implements AttemptContext, Deadline {
  readonly attempt: number
  readonly #policies: Policies
  readonly #call: Call
  readonly #permit: BreakerPermit | undefined
  readonly #startedAt: number
  readonly #outcome: PromiseWithResolvers<T> = Promise.withResolvers<T>()
  #timer: Disposable | undefined
  #controller: AbortController | undefined
  #cut: { readonly reason: unknown } | undefined
  #leak: Disposable | undefined

  constructor(policies: Policies, call: Call, attempt: number, permit: BreakerPermit | undefined) {
    this.#policies = policies
    this.#call = call
    this.attempt = attempt
    this.#permit = permit
    this.#startedAt = policies.clock.now()
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#cut) this.#controller.abort(this.#cut.reason)
    }
    return this.#controller.signal
  }

  get deadline(): Deadline {
    return this
  }

  get remainingMs(): number {
    if (this.#cut) return 0
    const { clock, attemptTimeoutMs } = this.#policies
    return Math.max(0, Math.min(this.#startedAt + attemptTimeoutMs - clock.now(), this.#call.remainingMs))
  }

  /** Calls `fn` at once. */
  run(fn: Attemptable<T>): Promise<T> {
    const { clock, attemptTimeoutMs } = this.#policies
    this.#call.onEnd = (reason) => this.#cutShort(reason, this.#verdictOnCut(reason))
    if (attemptTimeoutMs !== Infinity) this.#timer = clock.after(attemptTimeoutMs, () => this.#expire(attemptTimeoutMs))
    this.#start(fn).then(
      (value) => this.#succeeded(value),
      (error: unknown) => this.#failed(error),
    )
    return this.#outcome.promise
  }

  /** Async, so that a function that throws right away fails as any other. */
  async #start(fn: Attemptable<T>): Promise<T> {
    return fn(this)
  }

  #succeeded(value: T): void {
    if (!this.#workSettled()) return
    const { retry, typicalMs, clock } = this.#policies
    typicalMs.add(clock.now() - this.#startedAt)
    retry?.budget.deposit()
    this.#judge('success')
    this.#outcome.resolve(value)
  }

  #failed(error: unknown): void {
    if (!this.#workSettled()) return
    this.#judge(verdictOn(error, this.#policies.breaker?.isFailure))
    this.#outcome.reject(error)
  }

  /** @returns whether the caller still waits for it. */
  #workSettled(): boolean {
    this.#policies.bulkhead?.leave()
    this.#leak?.[Symbol.dispose]()
    if (this.#cut) return false
    this.#stopWaiting()
    return true
  }

  #expire(timeoutMs: number): void {
    const { name, emit } = this.#policies
    emit({ type: 'timeout.exceeded', source: name, scope: 'attempt', timeoutMs })
    this.#cutShort(timeoutError(name, 'attempt', timeoutMs), 'failure')
  }

  /** Answers the caller first and the work second: a listener on the signal must not be able to hold up the answer. */
  #cutShort(reason: unknown, verdict: Verdict): void {
    this.#cut = { reason }
    this.#stopWaiting()
    this.#judge(verdict)
    this.#leak = this.#policies.leaks.add(this.attempt)
    this.#outcome.reject(reason)
    this.#controller?.abort(reason)
  }

  /** The caller's own leaving is no failure of the dependency; running out of a fair amount of time is. */
  #verdictOnCut(reason: unknown): Verdict {
    if (!isKeelsonError(reason) || reason.kind !== 'timeout') return 'none'
    const { clock, typicalMs } = this.#policies
    const hadMs = clock.now() - this.#startedAt
    return hadMs > FAIR_CHANCE * (typicalMs.value ?? 0) ? 'failure' : 'none'
  }

  #stopWaiting(): void {
    this.#timer?.[Symbol.dispose]()
    this.#call.onEnd = undefined
  }

  #judge(verdict: Verdict): void {
    const { breaker, clock } = this.#policies
    if (breaker && this.#permit) breaker.leave(this.#permit, verdict, clock.now() - this.#startedAt)
  }
}
