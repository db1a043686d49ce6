/**
 * Circuit breaker: stops calling a dependency that fails, and finds out by itself when it works again.
 * Closed → open on the failure or slow-call ratio of a sliding window · open → half-open after a growing, jittered pause ·
 * half-open → closed after enough successful probes, → open at the second failed one.
 * Every permit carries the epoch it was given in; a result from an earlier epoch never moves the state.
 * Source: Nygard, "Release It!", 2nd ed. (2018), ch. 5.
 */
import { atLeast, between, integerAtLeast, optional, resolveOptions } from '../core/options.ts'
import { CallWindow } from './call-window.ts'
import { aFunction } from './checks.ts'
import { breakerOpenError } from './errors.ts'
import type { BreakerClosed, BreakerOpened } from './events.ts'
import type { PolicyDeps } from './policy-deps.ts'
import { Probes } from './probes.ts'
import type { Verdict } from './verdict.ts'

export interface BreakerOptions {
  /** Over how many milliseconds calls are counted. Default: 10_000. */
  readonly windowMs: number
  /** With fewer calls than this in the window it doesn't open. Default: 20. */
  readonly minCalls: number
  /** Share of failed calls at which it opens. Default: 0.5, so that the loss of one shard of several keeps the others. */
  readonly failureRatio: number
  /** A call that takes longer counts as slow, in milliseconds. Default: Infinity (off). */
  readonly slowCallMs: number
  /** Share of slow calls at which it opens. Default: 0.8. */
  readonly slowCallRatio: number
  /** How long it stays open the first time, in milliseconds, ± 20 %; doubles while probes fail. Default: 5_000. */
  readonly openMs: number
  /** The longest it stays open, in milliseconds, before jitter. Default: 60_000. */
  readonly maxOpenMs: number
  /** Calls let through at a time while half-open, and successes needed to close. Default: 5. */
  readonly probes: number
  /** Whether an error says that the dependency is in trouble. Default: by the error's kind; unknown errors do. */
  readonly isFailure?: ((error: unknown) => boolean) | undefined
}

export const BREAKER_DEFAULTS: BreakerOptions = {
  windowMs: 10_000,
  minCalls: 20,
  failureRatio: 0.5,
  slowCallMs: Infinity,
  slowCallRatio: 0.8,
  openMs: 5_000,
  maxOpenMs: 60_000,
  probes: 5,
}

export type BreakerState = 'closed' | 'open' | 'half-open' | 'isolated'

export interface BreakerSnapshot {
  readonly state: BreakerState
  /** Calls in the window, and how many of them failed or were slow. */
  readonly calls: number
  readonly failures: number
  readonly slow: number
  /** While half-open: probes running now. */
  readonly probing: number
  /** While open: milliseconds until the next call may pass. */
  readonly retryAfterMs: number | undefined
}

/** The right to make one call; give it back with `leave`. */
export interface BreakerPermit {
  readonly epoch: number
  readonly expiresAt: number
}

export class Breaker {
  readonly isFailure: BreakerOptions['isFailure']
  readonly #options: BreakerOptions
  readonly #deps: PolicyDeps
  readonly #probeMs: number
  readonly #window: CallWindow
  #probes: Probes
  #state: BreakerState = 'closed'
  #epoch = 0
  /** All calls of a closed epoch share one permit. */
  #shared: BreakerPermit = { epoch: 0, expiresAt: Infinity }
  /** How often it has opened in a row, each time too soon after the last. */
  #streak = 0
  #openMs = 0
  #openUntil = 0
  #closedAt = -Infinity

  /** @param probeMs the longest that a probe may take; the open time bounds it too. */
  constructor(given: Partial<BreakerOptions>, deps: PolicyDeps, probeMs: number) {
    this.#options = resolveOptions<BreakerOptions>('breaker', BREAKER_DEFAULTS, given, {
      windowMs: atLeast(10),
      minCalls: integerAtLeast(1),
      failureRatio: between(0.01, 1),
      slowCallMs: atLeast(0),
      slowCallRatio: between(0.01, 1),
      openMs: atLeast(1),
      maxOpenMs: atLeast(1),
      probes: integerAtLeast(1),
      isFailure: optional(aFunction),
    })
    this.isFailure = this.#options.isFailure
    this.#deps = deps
    this.#probeMs = probeMs
    this.#window = new CallWindow(this.#options.windowMs)
    this.#probes = new Probes(this.#options.probes)
  }

  /** @throws `KEELSON_BREAKER_OPEN` unless the call may be made; nobody ever waits for a breaker. */
  enter(): BreakerPermit {
    if (this.#state === 'closed') return this.#shared
    const now = this.#deps.clock.now()
    if (this.#state === 'half-open') this.#judgeProbes(now)
    if (this.#state === 'open' && now >= this.#openUntil) this.#halfOpen()
    if (this.#state === 'half-open') {
      const permit = { epoch: this.#epoch, expiresAt: now + Math.min(this.#probeMs, this.#openMs) }
      if (this.#probes.add(permit)) return permit
    }
    throw this.#refusal(now)
  }

  /** Tells how the call went; once per permit. */
  leave(permit: BreakerPermit, verdict: Verdict, durationMs: number): void {
    // From before the last change of state: news about a dependency that has been judged since.
    if (permit.epoch !== this.#epoch) return
    const now = this.#deps.clock.now()
    const slow = durationMs > this.#options.slowCallMs
    if (this.#state === 'half-open') {
      this.#probes.end(permit, verdict === 'success' && slow ? 'failure' : verdict)
      this.#judgeProbes(now)
    } else if (verdict !== 'none') {
      this.#window.record(now, verdict === 'failure', slow)
      if (slow || verdict === 'failure') this.#tripIfDue(now)
    }
  }

  /** Refuses every call until `close`. */
  isolate(): void {
    this.#become('isolated')
    this.#reportOpened('isolated', Infinity)
  }

  /** Closes at once and forgets the past. */
  close(): void {
    this.#streak = 0
    this.#close('by-hand')
  }

  snapshot(): BreakerSnapshot {
    const now = this.#deps.clock.now()
    this.#window.age(now)
    const { calls, failures, slow } = this.#window
    const open = this.#state === 'open'
    return {
      state: this.#state,
      calls,
      failures,
      slow,
      probing: this.#state === 'half-open' ? this.#probes.running : 0,
      retryAfterMs: open ? Math.max(0, this.#openUntil - now) : undefined,
    }
  }

  #tripIfDue(now: number): void {
    const { calls, failures, slow } = this.#window
    const { minCalls, failureRatio, slowCallRatio, openMs } = this.#options
    if (calls < minCalls) return
    const failing = failures >= calls * failureRatio
    if (!failing && slow < calls * slowCallRatio) return
    // The pause grows only if this is the same trouble as the last time.
    this.#streak = now - this.#closedAt < 2 * Math.max(this.#openMs, openMs) ? this.#streak + 1 : 0
    this.#open(now, failing ? 'failures' : 'slow-calls')
  }

  #judgeProbes(now: number): void {
    this.#probes.expire(now)
    const { result } = this.#probes
    if (result === 'works') this.#close('probes')
    if (result !== 'broken') return
    this.#streak++
    this.#open(now, 'probes')
  }

  #open(now: number, reason: 'failures' | 'slow-calls' | 'probes'): void {
    const { openMs, maxOpenMs } = this.#options
    this.#openMs = Math.min(maxOpenMs, openMs * 2 ** this.#streak) * (0.8 + 0.4 * this.#deps.random())
    this.#openUntil = now + this.#openMs
    this.#become('open')
    this.#reportOpened(reason, this.#openMs)
  }

  #halfOpen(): void {
    this.#probes = new Probes(this.#options.probes)
    this.#become('half-open')
    this.#deps.emit({ type: 'breaker.half-opened', source: this.#deps.name })
  }

  #close(reason: BreakerClosed['reason']): void {
    this.#window.clear()
    this.#closedAt = reason === 'probes' ? this.#deps.clock.now() : -Infinity
    this.#become('closed')
    this.#deps.emit({ type: 'breaker.closed', source: this.#deps.name, reason })
  }

  #become(state: BreakerState): void {
    this.#state = state
    this.#shared = { epoch: ++this.#epoch, expiresAt: Infinity }
  }

  #reportOpened(reason: BreakerOpened['reason'], openMs: number): void {
    const { calls, failures, slow } = this.#window
    this.#deps.emit({ type: 'breaker.opened', source: this.#deps.name, reason, openMs, calls, failures, slow })
  }

  #refusal(now: number): Error {
    const { name, emit } = this.#deps
    const state = this.#state as 'open' | 'half-open' | 'isolated'
    const waits = { open: this.#openUntil - now, 'half-open': this.#probes.firstExpiryMs(now), isolated: undefined }
    const retryAfterMs = waits[state]
    emit({ type: 'breaker.rejected', source: name, state, retryAfterMs })
    return breakerOpenError(name, state, retryAfterMs)
  }
}
