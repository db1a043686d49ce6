/**
 * A pipeline guards the calls to one dependency. Its order is fixed, options choose what is in it:
 * fallback → total timeout → retry → for each attempt: breaker → bulkhead → attempt timeout → the function.
 * Retry is outside the breaker, so that each attempt is judged; the breaker is outside the bulkhead, so that an open
 * one takes no slot; the attempt's time starts with its slot, so that our own queue never looks like a slow dependency.
 */
import { systemClock, type Clock } from '../core/clock.ts'
import { atLeast, invalidOption, nonEmptyString, optional, resolveOptions } from '../core/options.ts'
import { createEmitter, type Listener } from '../core/telemetry.ts'
import { Attempt, type Attemptable } from './attempt.ts'
import { Breaker, type BreakerOptions, type BreakerPermit } from './breaker.ts'
import { Bulkhead, type BulkheadOptions } from './bulkhead.ts'
import { Call, type RunOptions } from './call.ts'
import { aFunction, anObject } from './checks.ts'
import { RESILIENCE_CHANNEL, type ResilienceEvent } from './events.ts'
import { fallBack, type Fallback } from './fallback.ts'
import { Leaks } from './leaks.ts'
import { Median } from './median.ts'
import type { Policies } from './policies.ts'
import type { PolicyDeps } from './policy-deps.ts'
import { pipelines, type PipelineSnapshot } from './registry.ts'
import { Retry, type Repeat, type RetryOptions } from './retry.ts'

/** A policy is on if its option is given; an empty object means its defaults. */
export interface PipelineOptions<F = never> {
  /** Names the pipeline in events, errors and metrics. Required: an anonymous breaker can't be operated. */
  readonly name: string
  /** Time for the whole call, all attempts and pauses together, in milliseconds. Default: none. */
  readonly timeoutMs?: number | undefined
  /** Time for one attempt, from the moment it has its slot, in milliseconds. Default: none. */
  readonly attemptTimeoutMs?: number | undefined
  readonly retry?: Partial<RetryOptions> | undefined
  readonly breaker?: Partial<BreakerOptions> | undefined
  readonly bulkhead?: Partial<BulkheadOptions> | undefined
  /** Makes another answer from the final error, for a caller that still waits. Default: none. */
  readonly fallback?: Fallback<F> | undefined
  /** Default: the system's. */
  readonly clock?: Clock | undefined
  /** Uniform in [0, 1). Default: `Math.random`. */
  readonly random?: (() => number) | undefined
  /** Receives this pipeline's events, besides the `keelson:resilience` channel. */
  readonly onEvent?: Listener<ResilienceEvent> | undefined
}

export interface Pipeline<F = never> extends Disposable {
  readonly name: string
  /** The policies that are on, outermost first. */
  readonly policies: readonly string[]
  /**
   * Calls `fn`, as often as the policies allow, and settles at the latest when the caller's time is up.
   * @throws what the last attempt threw · `signal.reason` · KeelsonError `KEELSON_TIMEOUT`, `KEELSON_BREAKER_OPEN`,
   * `KEELSON_BULKHEAD_FULL`.
   */
  run<T>(fn: Attemptable<T>, options?: RunOptions): Promise<T | F>
  /** Opens the breaker by hand, until `close`. @throws TypeError if the pipeline has no breaker. */
  isolate(): void
  /** Closes the breaker at once. @throws TypeError if the pipeline has no breaker. */
  close(): void
  snapshot(): PipelineSnapshot
  /** Takes the pipeline off the registry; calls that run go on. */
  [Symbol.dispose](): void
}

/** @throws KeelsonError `KEELSON_CONFIG_INVALID` naming the option, the rule and the value received. */
export function createPipeline<F = never>(options: PipelineOptions<F>): Pipeline<F> {
  return new PolicyPipeline(options)
}

class PolicyPipeline<F> implements Pipeline<F> {
  readonly name: string
  readonly policies: readonly string[]
  readonly #is: Policies
  readonly #fallback: Fallback<F> | undefined
  readonly #listing: Disposable
  #succeeded = 0
  #failed = 0
  #running = 0

  constructor(given: PipelineOptions<F>) {
    const options = checked(given)
    this.name = options.name
    this.policies = namesOf(options)
    this.#is = build(options)
    this.#fallback = options.fallback
    this.#listing = pipelines.add(this)
  }

  async run<T>(fn: Attemptable<T>, options: RunOptions = {}): Promise<T | F> {
    const call = new Call(this.#is, options, this.#is.timeoutMs)
    this.#running++
    try {
      const value = await this.#untilDone(fn, call, options.repeat ?? 'never')
      this.#succeeded++
      return value
    } catch (error) {
      this.#failed++
      if (!this.#fallback) throw error
      return await fallBack(this.#fallback, error, options, this.#is)
    } finally {
      this.#running--
      call[Symbol.dispose]()
    }
  }

  isolate(): void {
    this.#breaker().isolate()
  }

  close(): void {
    this.#breaker().close()
  }

  snapshot(): PipelineSnapshot {
    const { breaker, bulkhead, retry, leaks } = this.#is
    return {
      name: this.name,
      policies: this.policies,
      succeeded: this.#succeeded,
      failed: this.#failed,
      running: this.#running,
      leaked: leaks.running,
      breaker: breaker?.snapshot(),
      bulkhead: bulkhead?.snapshot(),
      retryBudget: retry && { tokens: retry.budget.tokens, cap: retry.budget.cap },
    }
  }

  [Symbol.dispose](): void {
    this.#listing[Symbol.dispose]()
  }

  async #untilDone<T>(fn: Attemptable<T>, call: Call, repeat: Repeat): Promise<T> {
    const { retry, clock, typicalMs } = this.#is
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(fn, call, attempt)
      } catch (error) {
        if (!retry || call.over) throw error
        const expectedMs = typicalMs.value ?? 0
        const pauseMs = retry.pauseAfter({ error, attempt, repeat, remainingMs: call.remainingMs, expectedMs })
        await clock.sleep(pauseMs, call.signal)
      }
    }
  }

  async #attempt<T>(fn: Attemptable<T>, call: Call, attempt: number): Promise<T> {
    call.throwIfOver()
    const { breaker, bulkhead } = this.#is
    let permit = breaker?.enter()
    if (bulkhead && !bulkhead.tryEnter()) permit = await this.#queue(bulkhead, call, permit)
    return await new Attempt<T>(this.#is, call, attempt, permit).run(fn)
  }

  /** Whoever waits holds no permit, which may expire meanwhile; it is asked for again, and may then be refused. */
  async #queue(bulkhead: Bulkhead, call: Call, permit: BreakerPermit | undefined): Promise<BreakerPermit | undefined> {
    const { breaker } = this.#is
    if (breaker && permit) breaker.leave(permit, 'none', 0)
    const place = bulkhead.queue()
    call.onEnd = place.giveUp
    await place.entered
    call.onEnd = undefined
    try {
      call.throwIfOver()
      return breaker?.enter()
    } catch (error) {
      bulkhead.leave()
      throw error
    }
  }

  #breaker(): Breaker {
    if (!this.#is.breaker) throw new TypeError(`pipeline ${this.name} has no breaker`)
    return this.#is.breaker
  }
}

function checked<F>(given: PipelineOptions<F>): Readonly<PipelineOptions<F>> {
  const options = resolveOptions<PipelineOptions<F>>('createPipeline', { name: '' }, given, {
    name: nonEmptyString,
    timeoutMs: optional(atLeast(1)),
    attemptTimeoutMs: optional(atLeast(1)),
    retry: optional(anObject),
    breaker: optional(anObject),
    bulkhead: optional(anObject),
    fallback: optional(aFunction),
    clock: optional(anObject),
    random: optional(aFunction),
    onEvent: optional(aFunction),
  })
  const { timeoutMs = Infinity, attemptTimeoutMs = 0 } = options
  if (attemptTimeoutMs <= timeoutMs) return options
  throw invalidOption('createPipeline', 'attemptTimeoutMs', `must not exceed timeoutMs (${timeoutMs})`, attemptTimeoutMs)
}

function namesOf(options: PipelineOptions<unknown>): readonly string[] {
  const { fallback, timeoutMs, retry, breaker, bulkhead, attemptTimeoutMs } = options
  const inOrder = { fallback, timeout: timeoutMs, retry, breaker, bulkhead, 'attempt-timeout': attemptTimeoutMs }
  return Object.entries(inOrder).flatMap(([name, option]) => (option === undefined ? [] : [name]))
}

function build(options: PipelineOptions<unknown>): Policies {
  const { name, clock = systemClock, random = Math.random, onEvent } = options
  const { timeoutMs = Infinity, attemptTimeoutMs = Infinity, retry, breaker, bulkhead } = options
  const deps: PolicyDeps = { name, clock, random, emit: createEmitter<ResilienceEvent>(RESILIENCE_CHANNEL, onEvent) }
  return {
    ...deps,
    timeoutMs,
    attemptTimeoutMs,
    retry: retry && new Retry(retry, deps),
    breaker: breaker && new Breaker(breaker, deps, attemptTimeoutMs),
    bulkhead: bulkhead && new Bulkhead(bulkhead, deps),
    leaks: new Leaks(deps),
    typicalMs: new Median(),
  }
}
