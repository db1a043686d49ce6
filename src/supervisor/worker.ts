/** One worker as the loop knows it: what it has said, what it was told. Where it runs is the launcher's business. */
import type { Clock } from '../core/clock.ts'
import type { DrainOrder, FromWorker, ToWorker, WorkerReport } from './protocol.ts'

/** `booting` until it accepts connections, `leaving` once it was told to drain. */
export type WorkerState = 'booting' | 'serving' | 'leaving'

export interface WorkerStatus {
  /** Counts up from 1; the lower, the older. */
  readonly id: number
  readonly pid: number | undefined
  readonly state: WorkerState
  readonly ready: boolean
  readonly reasons: readonly string[]
  readonly degraded: readonly string[]
  /** Since it was started, in milliseconds. */
  readonly ageMs: number
  /** Since its last report, in milliseconds; `undefined` before the first. */
  readonly silentMs: number | undefined
}

/** The running thing behind a worker. */
export interface WorkerBody {
  readonly pid: number | undefined
  send(message: ToWorker): void
  /** Ends it at once, whatever it does. */
  kill(): void
}

export interface Launch {
  readonly id: number
  /** How many workers are aimed at. */
  readonly workerCount: number
  readonly onMessage: (message: FromWorker) => void
  /** Called once, after the last message. Both are null if nothing could be started. */
  readonly onExit: (code: number | null, signal: NodeJS.Signals | null) => void
}

/** Starts a worker. @throws the system's error if it has no process to give. */
export type Launcher = (launch: Launch) => WorkerBody

export class Worker {
  readonly id: number
  readonly pid: number | undefined
  #state: WorkerState = 'booting'
  #killed = false
  #report: WorkerReport | undefined
  #bootedAt: number | undefined
  #reportedAt: number | undefined
  #patience: Disposable | undefined
  readonly #body: WorkerBody
  readonly #clock: Clock
  readonly #startedAt: number

  constructor(id: number, body: WorkerBody, clock: Clock) {
    this.id = id
    this.pid = body.pid
    this.#body = body
    this.#clock = clock
    this.#startedAt = clock.now()
  }

  get state(): WorkerState {
    return this.#state
  }

  /** Whether `kill` was called. */
  get killed(): boolean {
    return this.#killed
  }

  get report(): WorkerReport | undefined {
    return this.#report
  }

  get ageMs(): number {
    return this.#clock.now() - this.#startedAt
  }

  /** Since it booted, in milliseconds; `undefined` if it has not. */
  get servedMs(): number | undefined {
    return this.#bootedAt === undefined ? undefined : this.#clock.now() - this.#bootedAt
  }

  booted(): void {
    this.#bootedAt = this.#clock.now()
    if (this.#state === 'booting') this.#state = 'serving'
  }

  reported(report: WorkerReport): void {
    this.#report = report
    this.#reportedAt = this.#clock.now()
  }

  send(message: ToWorker): void {
    this.#body.send(message)
  }

  /** Tells it to drain; `onOverdue` runs if it is still there after `patienceMs`. */
  drain(order: Omit<DrainOrder, 'type'>, patienceMs: number, onOverdue: () => void): void {
    this.#state = 'leaving'
    this.send({ type: 'drain', ...order })
    this.#patience = this.#clock.after(patienceMs, onOverdue)
  }

  kill(): void {
    this.#killed = true
    this.#body.kill()
  }

  /** It has ended; leaves no timer behind. */
  gone(): void {
    this.#patience?.[Symbol.dispose]()
  }

  status(): WorkerStatus {
    const { ready = false, reasons = ['booting'], degraded = [] } = this.#report ?? {}
    return {
      id: this.id,
      pid: this.pid,
      state: this.#state,
      ready: ready && this.#state === 'serving',
      reasons,
      degraded,
      ageMs: this.ageMs,
      silentMs: this.#reportedAt === undefined ? undefined : this.#clock.now() - this.#reportedAt,
    }
  }
}
