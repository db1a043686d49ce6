/**
 * One `run`, from the caller's side: how much time it has, and what ends it early (the caller, its deadline, the total
 * timeout). Listens on the caller's signals itself, because `AbortSignal.any` costs more than the calls it guards.
 */
import type { Deadline } from '../core/deadline.ts'
import { deadlineError, timeoutError } from './errors.ts'
import type { PolicyDeps } from './policy-deps.ts'
import type { Repeat } from './retry.ts'

export interface RunOptions {
  /** Ends the call with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
  /** The budget of time that this call draws on, e.g. a request's; it ends the call with its signal's reason. */
  readonly deadline?: Deadline | undefined
  /**
   * Whether the call may run twice: `safe` (it changes nothing), `keyed` (it carries an idempotency key) or `never`,
   * which still repeats what provably never reached the dependency. Default: `never`.
   */
  readonly repeat?: Repeat | undefined
}

export class Call implements Disposable {
  /** What the call waits for right now, to be told when it ends early. It waits for one thing at a time. */
  onEnd: ((reason: unknown) => void) | undefined
  readonly #deps: PolicyDeps
  readonly #signal: AbortSignal | undefined
  readonly #deadline: Deadline | undefined
  readonly #deadlineSignal: AbortSignal | undefined
  readonly #timeoutMs: number
  readonly #endsAt: number
  readonly #timer: Disposable | undefined
  #controller: AbortController | undefined
  #ended: { readonly reason: unknown } | undefined

  constructor(deps: PolicyDeps, { signal, deadline }: RunOptions, timeoutMs: number) {
    this.#deps = deps
    this.#signal = signal
    this.#deadline = deadline
    this.#timeoutMs = timeoutMs
    this.#endsAt = timeoutMs === Infinity ? Infinity : deps.clock.now() + timeoutMs
    this.#deadlineSignal = deadline?.signal
    this.#follow(signal)
    this.#follow(this.#deadlineSignal)
    if (timeoutMs !== Infinity && !this.#ended) this.#timer = deps.clock.after(timeoutMs, () => this.#expire())
  }

  /** Whether nobody waits for the result any more. */
  get over(): boolean {
    return this.#ended !== undefined
  }

  get remainingMs(): number {
    if (this.#ended) return 0
    const own = this.#endsAt === Infinity ? Infinity : this.#endsAt - this.#deps.clock.now()
    return Math.max(0, Math.min(own, this.#deadline?.remainingMs ?? Infinity))
  }

  /** Aborts when the call ends early. Made on first use. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#ended) this.#controller.abort(this.#ended.reason)
    }
    return this.#controller.signal
  }

  /** Also when the time is up and its timer is late, as timers are while the event loop is busy. */
  throwIfOver(): void {
    if (!this.#ended && this.remainingMs <= 0) {
      if (this.#deadline && this.#deadline.remainingMs <= 0) this.#end(deadlineError(this.#deps.name))
      else this.#expire()
    }
    if (this.#ended) throw this.#ended.reason
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#deadlineSignal?.removeEventListener('abort', this.#onAbort)
  }

  #follow(signal: AbortSignal | undefined): void {
    if (!signal || this.#ended) return
    if (signal.aborted) this.#end(signal.reason)
    else signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  readonly #onAbort = (event: Event): void => this.#end((event.target as AbortSignal).reason)

  #expire(): void {
    const { name, emit } = this.#deps
    emit({ type: 'timeout.exceeded', source: name, scope: 'total', timeoutMs: this.#timeoutMs })
    this.#end(timeoutError(name, 'total', this.#timeoutMs))
  }

  #end(reason: unknown): void {
    if (this.#ended) return
    this.#ended = { reason }
    this.onEnd?.(reason)
    this.#controller?.abort(reason)
  }
}
