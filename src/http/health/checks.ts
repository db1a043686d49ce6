/**
 * Readiness as the sum of named checks, each run in the background: a probe is answered from memory, never by I/O.
 * A critical check makes the process unready; any other only marks it degraded.
 */
import { every, type Clock } from '../../core/clock.ts'
import { createDeadline, type OwnedDeadline } from '../../core/deadline.ts'
import { untilAborted } from '../../core/abort.ts'
import { KeelsonError } from '../../core/errors.ts'

export interface HealthCheck {
  /** What is checked, e.g. `database`; stands in the answer when it fails. */
  readonly name: string
  /** Rejects when the thing is unwell; must end when `signal` aborts. */
  check(signal: AbortSignal): Promise<void>
  /** Whether the process can serve nothing without it. Default: true. */
  readonly critical?: boolean
  /** How long it may fail, after it was well, before it counts, in milliseconds. Default: 0. */
  readonly toleranceMs?: number
}

export interface HealthState {
  readonly ready: boolean
  /** Why not, in words for an operator: names of things, no addresses, no secrets. */
  readonly reasons: readonly string[]
  /** What is broken but done without. */
  readonly degraded: readonly string[]
}

export interface HealthChecks extends Disposable {
  /** Adds a check, run at once and then every interval, until disposed. */
  add(check: HealthCheck): Disposable
  /** Makes the process unready for a reason that no check sees, such as draining, until disposed. */
  hold(reason: string): Disposable
  /** Resolves when every check has had its first result. */
  settled(): Promise<void>
  state(): HealthState
}

export interface HealthChecksOptions {
  /** Pause between two runs of a check, in milliseconds. */
  readonly intervalMs: number
  /** Time for one run, in milliseconds. */
  readonly timeoutMs: number
  readonly clock: Clock
}

export function createHealthChecks({ intervalMs, timeoutMs, clock }: HealthChecksOptions): HealthChecks {
  const running = new Map<RunningCheck, Disposable>()
  const held = new Set<{ readonly reason: string }>()
  return {
    add(check) {
      const one = new RunningCheck(check, timeoutMs, clock)
      running.set(
        one,
        every(clock, intervalMs, () => one.run()),
      )
      return { [Symbol.dispose]: () => remove(one) }
    },
    hold(reason) {
      const entry = { reason }
      held.add(entry)
      return { [Symbol.dispose]: () => void held.delete(entry) }
    },
    async settled() {
      await Promise.all([...running.keys()].map((one) => one.firstResult))
    },
    state() {
      const failing = [...running.keys()].filter((one) => one.failing)
      const reasons = [...held]
        .map((entry) => entry.reason)
        .concat(failing.filter((one) => one.critical).map((one) => one.reason))
      return { ready: reasons.length === 0, reasons, degraded: failing.filter((one) => !one.critical).map((one) => one.reason) }
    },
    [Symbol.dispose]() {
      for (const one of running.keys()) remove(one)
    },
  }

  function remove(one: RunningCheck): void {
    running.get(one)?.[Symbol.dispose]()
    running.delete(one)
    one.stop()
  }
}

class RunningCheck {
  readonly critical: boolean
  readonly firstResult: Promise<void>
  readonly #check: HealthCheck
  readonly #timeoutMs: number
  readonly #clock: Clock
  #running: { readonly done: Promise<void>; readonly deadline: OwnedDeadline } | undefined
  #wellAt: number | undefined
  #failure: string | undefined = 'not checked yet'

  constructor(check: HealthCheck, timeoutMs: number, clock: Clock) {
    this.#check = check
    this.#timeoutMs = timeoutMs
    this.#clock = clock
    this.critical = check.critical ?? true
    this.firstResult = this.run()
  }

  get failing(): boolean {
    if (this.#failure === undefined) return false
    const patience = this.#check.toleranceMs ?? 0
    return this.#wellAt === undefined || this.#clock.now() - this.#wellAt >= patience
  }

  get reason(): string {
    return `${this.#check.name}: ${this.#failure}`
  }

  /** One run at a time: a late result of an old one must not overwrite that of a newer. Never rejects. */
  async run(): Promise<void> {
    if (this.#running) return await this.#running.done
    const deadline = createDeadline({ timeoutMs: this.#timeoutMs, clock: this.#clock })
    this.#running = { deadline, done: this.#runWithin(deadline) }
    await this.#running.done
    this.#running = undefined
  }

  /** Ends the run that is going on. */
  stop(): void {
    this.#running?.deadline.cancel(new KeelsonError('KEELSON_CLOSING', 'unavailable', 'the check was removed'))
  }

  async #runWithin(given: OwnedDeadline): Promise<void> {
    using deadline = given
    try {
      await untilAborted(this.#check.check(deadline.signal), deadline.signal)
      this.#failure = undefined
      this.#wellAt = this.#clock.now()
    } catch (error) {
      // Only our own words: a driver's message may hold an address or a user name.
      this.#failure = error instanceof KeelsonError ? error.code.replace('KEELSON_', '').toLowerCase() : 'failing'
    }
  }
}
