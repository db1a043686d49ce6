/**
 * Keeps a failing Redis from costing more than one time-out. One failure opens the guard; while it is open nothing is
 * sent and nobody waits; a probe in the background, one at a time, closes it again. A general breaker needs a score of
 * failures to open, and here each would cost a reader the whole time-out.
 */
import type { Clock } from '../core/clock.ts'
import { KeelsonError } from '../core/errors.ts'

export interface L2GuardOptions {
  readonly clock: Clock
  readonly random: () => number
  /** For one probe, in milliseconds. */
  readonly timeoutMs: number
  /** Whatever must succeed before the guard closes; run again until `upToDate` says that it was enough. */
  readonly probe: () => Promise<void>
  readonly upToDate: () => boolean
  readonly onOpened: (reason: string) => void
  readonly onClosed: (openMs: number) => void
}

/** Longest wait between probes, in milliseconds; below a second, so that recovery is. */
const PROBE_MS = 800

export class L2Guard {
  readonly #options: L2GuardOptions
  #openedAt: number | undefined
  #nextProbe: Disposable | undefined
  #stopped = false

  constructor(options: L2GuardOptions) {
    this.#options = options
  }

  get open(): boolean {
    return this.#openedAt !== undefined
  }

  /**
   * Runs `work` until `endsAt` (monotonic milliseconds). Returns `undefined`, instead of throwing, if the guard is open
   * or the work fails; a failure opens the guard unless `tolerate` says that it is of no consequence.
   */
  async attempt<R>(
    work: () => Promise<R>,
    endsAt: number,
    tolerate: (error: unknown) => boolean = () => false,
  ): Promise<R | undefined> {
    if (this.open || this.#stopped) return undefined
    try {
      const { clock } = this.#options
      return await within(clock, Math.max(0, endsAt - clock.now()), work)
    } catch (error) {
      if (!tolerate(error)) this.trip(error)
      return undefined
    }
  }

  trip(error: unknown): void {
    if (this.open || this.#stopped) return
    this.#openedAt = this.#options.clock.now()
    this.#options.onOpened(reasonOf(error))
    this.#probeLater()
  }

  /** Probes no more. */
  stop(): void {
    this.#stopped = true
    this.#nextProbe?.[Symbol.dispose]()
  }

  #probeLater(): void {
    const { clock, random } = this.#options
    this.#nextProbe = clock.after(PROBE_MS * (0.5 + random() / 2), () => void this.#probe())
  }

  async #probe(): Promise<void> {
    try {
      // What comes up during a probe must not be left behind when the guard closes.
      do await this.#options.probe()
      while (!this.#options.upToDate())
    } catch {
      if (!this.#stopped) this.#probeLater()
      return
    }
    const openMs = this.#options.clock.now() - this.#openedAt!
    this.#openedAt = undefined
    if (!this.#stopped) this.#options.onClosed(openMs)
  }
}

/** Settles as `work` does, or rejects after `timeoutMs`; a late result is dropped. */
export async function within<R>(clock: Clock, timeoutMs: number, work: () => Promise<R>): Promise<R> {
  const { promise, resolve, reject } = Promise.withResolvers<R>()
  const giveUp = (): void => reject(new KeelsonError('KEELSON_CACHE_L2_TIMEOUT', 'timeout', `no answer within ${timeoutMs} ms`))
  // A turn later, because after a blocked event loop timers fire before the answer that has long arrived is read.
  using _timer = clock.after(timeoutMs, () => void setImmediate(giveUp))
  work().then(resolve, reject)
  return await promise
}

/** A code, never the message: that may quote an address. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  if ('code' in error && typeof error.code === 'string') return error.code
  return error.name === 'ReplyError' ? (error.message.split(' ')[0] ?? error.name) : error.name
}
