/**
 * The one budget of time that everything done for a request draws on: retries, queue waits, statements, cache leases.
 * Monotonic; relative on the wire, because the clocks of two machines never agree.
 */
import { systemClock, type Clock } from './clock.ts'
import { KeelsonError } from './errors.ts'

export interface Deadline {
  /** Milliseconds left, never below 0; `Infinity` where there is no deadline. */
  readonly remainingMs: number
  /** Aborts when the time is up, or when whoever asked for the work has gone. Made on first use. */
  readonly signal: AbortSignal
}

/** A deadline that its maker can end early, and must dispose when the work is done. */
export interface OwnedDeadline extends Deadline, Disposable {
  /** Ends the work now; later calls, and the passing of time, change nothing. */
  cancel(reason: unknown): void
}

export interface DeadlineOptions {
  /** Milliseconds from now; `Infinity` for none. */
  readonly timeoutMs: number
  /** Default: the system's. */
  readonly clock?: Clock
  /** Called once, at the moment the time is up (not on `cancel`). */
  readonly onExpired?: (error: KeelsonError<'KEELSON_DEADLINE_EXCEEDED'>) => void
}

/** The signal's reason is a `KEELSON_DEADLINE_EXCEEDED` (kind `timeout`), or what `cancel` was given. */
export function createDeadline({ timeoutMs, clock = systemClock, onExpired }: DeadlineOptions): OwnedDeadline {
  return new TimedDeadline(timeoutMs, clock, onExpired)
}

class TimedDeadline implements OwnedDeadline {
  readonly #endsAt: number
  readonly #clock: Clock
  readonly #timer: Disposable | undefined
  #controller: AbortController | undefined
  #ended: { readonly reason: unknown } | undefined

  constructor(timeoutMs: number, clock: Clock, onExpired: DeadlineOptions['onExpired']) {
    this.#clock = clock
    this.#endsAt = clock.now() + timeoutMs
    if (timeoutMs === Infinity) return
    this.#timer = clock.after(timeoutMs, () => {
      const error = new KeelsonError('KEELSON_DEADLINE_EXCEEDED', 'timeout', `not done within ${timeoutMs} ms`, {
        details: { timeoutMs },
      })
      this.#end(error)
      onExpired?.(error)
    })
  }

  get remainingMs(): number {
    return this.#ended ? 0 : Math.max(0, this.#endsAt - this.#clock.now())
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#ended) this.#controller.abort(this.#ended.reason)
    }
    return this.#controller.signal
  }

  cancel(reason: unknown): void {
    this.#timer?.[Symbol.dispose]()
    this.#end(reason)
  }

  #end(reason: unknown): void {
    if (this.#ended) return
    this.#ended = { reason }
    this.#controller?.abort(reason)
  }

  /** Stops the clock; the signal never aborts afterwards. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
  }
}
