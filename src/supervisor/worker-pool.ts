/** The set of workers, oldest first: how many there should be, when the next may start, and how they leave. */
import type { Clock } from '../core/clock.ts'
import type { Listener as EventListener } from '../core/telemetry.ts'
import type { SupervisorEvent } from './events.ts'
import { CLOSE_MS } from './options.ts'
import { summarizeError, type FromWorker } from './protocol.ts'
import { RetiredReports, type MergeMetrics, type Reports } from './reports.ts'
import type { RestartPolicy } from './restart-policy.ts'
import { Worker, type Launcher, type WorkerState, type WorkerStatus } from './worker.ts'

/** What becomes of workers, as the loop hears it. */
export type WorkerCommand =
  | { readonly type: 'message'; readonly worker: Worker; readonly message: FromWorker }
  | { readonly type: 'exit'; readonly worker: Worker; readonly code: number | null; readonly signal: NodeJS.Signals | null }
  /** A worker is still there although its time to drain is over. */
  | { readonly type: 'overdue'; readonly worker: Worker }
  /** A back-off is over, so that workers may start again. */
  | { readonly type: 'holdOver' }

export interface PoolContext {
  readonly workers: number
  /** How many there may be at most. */
  readonly maxWorkers: number
  readonly launch: Launcher
  readonly drainTimeoutMs: number
  readonly idleGraceMs: number
  readonly policy: RestartPolicy
  readonly mergeMetrics: MergeMetrics | undefined
  readonly clock: Clock
  readonly emit: EventListener<SupervisorEvent>
  readonly post: (command: WorkerCommand) => void
}

const SOURCE = 'arbiter'

export class WorkerPool {
  readonly #context: PoolContext
  readonly #workers = new Set<Worker>()
  readonly #retired: RetiredReports
  #target: number
  #lastId = 0
  /** Open once a worker has booted, shut by a failure to boot. While shut, workers start one at a time. */
  #gateOpen = false
  /** While set, no worker starts. */
  #hold: { readonly until: number; readonly timer: Disposable } | undefined

  constructor(context: PoolContext) {
    this.#context = context
    this.#target = context.workers
    this.#retired = new RetiredReports(context.mergeMetrics)
  }

  get size(): number {
    return this.#workers.size
  }

  all(): readonly Worker[] {
    return [...this.#workers]
  }

  inState(state: WorkerState): readonly Worker[] {
    return this.all().filter((worker) => worker.state === state)
  }

  statuses(): readonly WorkerStatus[] {
    return this.all().map((worker) => worker.status())
  }

  reports(): Reports {
    const live = this.all().map(({ id, report }) => ({ worker: id, metrics: report?.metrics }))
    return { live: live.filter(({ metrics }) => metrics !== undefined), retired: this.#retired.kept }
  }

  /** One more worker, or one fewer; at least one. */
  scaleBy(change: 1 | -1): void {
    const workers = Math.min(this.#context.maxWorkers, Math.max(1, this.#target + change))
    if (workers === this.#target) return
    this.#target = workers
    this.#context.emit({ type: 'scale.changed', source: SOURCE, workers })
  }

  /** Starts the workers that are missing, if it is time, and drains those that are too many. */
  keepNumber(): void {
    const serving = this.inState('serving')
    const booting = this.inState('booting').length
    const missing = this.#target - serving.length - booting
    const allowed = this.#gateOpen ? missing : Math.min(missing, 1 - booting)
    for (let started = 0; started < allowed && !this.#hold; started++) this.#start()
    // One that is booting may still fail: only what serves counts as too many.
    for (const surplus of serving.slice(0, Math.max(0, serving.length - this.#target))) this.drain(surplus)
  }

  booted(worker: Worker): void {
    worker.booted()
    this.#context.policy.booted()
    this.#gateOpen = true
  }

  remove(worker: Worker): void {
    worker.gone()
    this.#workers.delete(worker)
    this.#retired.add(worker)
  }

  /** A worker has died unasked, `servedMs` after it had booted, if it had; returns how often in a row if that is enough. */
  backOff(servedMs: number | undefined): { readonly giveUpAfter: number } | undefined {
    const { policy, clock, emit, post } = this.#context
    if (servedMs === undefined) this.#gateOpen = false
    const { delayMs, failures, giveUp } = policy.died(servedMs)
    if (giveUp && this.inState('serving').length === 0) return { giveUpAfter: failures }
    const until = clock.now() + delayMs
    if (delayMs === 0 || (this.#hold && this.#hold.until >= until)) return undefined
    this.#hold?.timer[Symbol.dispose]()
    this.#hold = { until, timer: clock.after(delayMs, () => post({ type: 'holdOver' })) }
    emit({ type: 'restart.delayed', source: SOURCE, delayMs, failures })
    return undefined
  }

  endHold(): void {
    this.#hold?.timer[Symbol.dispose]()
    this.#hold = undefined
  }

  drain(worker: Worker): void {
    const { drainTimeoutMs: timeoutMs, idleGraceMs, post } = this.#context
    // One that is still booting has nothing to drain.
    const patienceMs = worker.state === 'booting' ? CLOSE_MS : timeoutMs + CLOSE_MS
    worker.drain({ timeoutMs, idleGraceMs }, patienceMs, () => post({ type: 'overdue', worker }))
  }

  kill(worker: Worker, reason: 'drain_timeout' | 'quit'): void {
    worker.kill()
    this.#context.emit({ type: 'worker.killed', source: SOURCE, worker: worker.id, reason })
  }

  #start(): void {
    const { launch, clock, emit, post } = this.#context
    const id = ++this.#lastId
    try {
      const body = launch({
        id,
        workerCount: this.#target,
        onMessage: (message) => post({ type: 'message', worker, message }),
        onExit: (code, signal) => post({ type: 'exit', worker, code, signal }),
      })
      const worker = new Worker(id, body, clock)
      this.#workers.add(worker)
      emit({ type: 'worker.started', source: SOURCE, worker: id, pid: worker.pid })
    } catch (error) {
      // The system has no process to give; perhaps later, so this alone is no reason to give up.
      emit({ type: 'worker.boot_failed', source: SOURCE, worker: id, error: summarizeError(error) })
      this.backOff(undefined)
    }
  }
}
