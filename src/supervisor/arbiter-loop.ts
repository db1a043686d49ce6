/**
 * The arbiter's one loop: takes a command, acts on it, then brings the number of workers back to what it should be.
 * Whatever happens becomes a command, so nothing happens at the same time as anything else.
 */
import type { SupervisorEvent } from './events.ts'
import { EXIT_CODES } from './exit-codes.ts'
import { Mailbox } from './mailbox.ts'
import type { Phase, SupervisorState } from './probes.ts'
import type { FromWorker, WorkerReport } from './protocol.ts'
import { createSignalReader, type SignalCommand, type SupervisorSignal } from './signals.ts'
import { WorkerPool, type PoolContext, type WorkerCommand } from './worker-pool.ts'
import type { Worker } from './worker.ts'

export type Command =
  | WorkerCommand
  | { readonly type: 'signal'; readonly signal: SupervisorSignal }
  /** Somebody wants the service to end, without delay. */
  | { readonly type: 'stop' }
  /** What SIGTERM left for load balancers to notice is over. */
  | { readonly type: 'delayOver' }

export interface LoopContext extends Omit<PoolContext, 'post'> {
  /** Lets go of the listening socket. */
  readonly stopListening: () => void
  readonly drainDelayMs: number
  /** When starting up began, by the clock. */
  readonly createdAt: number
}

const SOURCE = 'arbiter'

/** What may lie behind a signal that we did not send. */
const DEATH_HINTS: Readonly<Record<string, string>> = {
  SIGKILL: 'killed from outside; perhaps out of memory?',
  SIGABRT: 'aborted; perhaps the heap was full?',
}

export class ArbiterLoop {
  readonly pool: WorkerPool
  readonly #context: LoopContext
  readonly #emit: (event: SupervisorEvent) => void
  readonly #mailbox = new Mailbox<Command>()
  readonly #readSignal: (signal: SupervisorSignal) => SignalCommand | undefined
  readonly #firstReady = Promise.withResolvers<void>()
  #phase: Phase = 'starting'
  #everReady = false
  #gaveUp = false
  /** When any worker was last heard; `undefined` until one has booted. */
  #heardAt: number | undefined
  #delay: Disposable | undefined
  #exitCode: number = EXIT_CODES.ok

  constructor(context: LoopContext) {
    this.#context = context
    this.#emit = context.emit
    this.#readSignal = createSignalReader(context.clock)
    this.pool = new WorkerPool({ ...context, post: (command) => this.post(command) })
  }

  /** Resolves when a worker is ready for the first time. */
  get firstReady(): Promise<void> {
    return this.#firstReady.promise
  }

  post(command: Command): void {
    this.#mailbox.post(command)
  }

  state(): SupervisorState {
    const silentMs = this.#heardAt === undefined ? 0 : this.#context.clock.now() - this.#heardAt
    return { phase: this.#phase, gaveUp: this.#gaveUp, silentMs, workers: this.pool.statuses() }
  }

  /** Runs until the last worker is gone; returns the exit code. */
  async run(): Promise<number> {
    this.pool.keepNumber()
    for await (const command of this.#mailbox) {
      this.#handle(command)
      if (this.#phase !== 'stopping') this.pool.keepNumber()
      else if (this.pool.size === 0) break
    }
    return this.#exitCode
  }

  #handle(command: Command): void {
    switch (command.type) {
      case 'signal':
        return this.#onSignal(command.signal)
      case 'message':
        return this.#onMessage(command.worker, command.message)
      case 'exit':
        return this.#onExit(command.worker, command.code, command.signal)
      case 'overdue':
        return this.#onOverdue(command.worker)
      case 'holdOver':
        return this.pool.endHold()
      case 'stop':
        return this.#drain(0)
      case 'delayOver':
        return this.#stop()
    }
  }

  #onSignal(signal: SupervisorSignal): void {
    const asked = this.#readSignal(signal)
    if (asked === undefined) return
    this.#emit({ type: asked === 'ignore' ? 'signal.ignored' : 'signal.received', source: SOURCE, signal })
    switch (asked) {
      case 'stop':
        return this.#drain(this.#context.drainDelayMs)
      case 'interrupt':
        return this.#drain(0)
      case 'quit':
        return this.#quit()
      case 'grow':
        return this.pool.scaleBy(1)
      case 'shrink':
        return this.pool.scaleBy(-1)
      case 'ignore':
    }
  }

  #onMessage(worker: Worker, message: FromWorker): void {
    const about = { source: SOURCE, worker: worker.id }
    switch (message.type) {
      case 'broadcast':
        return this.#relay(worker, message)
      case 'report':
        return this.#onReport(worker, message.report)
      case 'booted':
        return this.#onBooted(worker)
      case 'bootFailed':
        return this.#emit({ type: 'worker.boot_failed', ...about, error: message.error })
      case 'failing':
        return this.#onFailing(worker, message)
      case 'drained':
        return this.#emit({ ...message, type: 'worker.drained', ...about })
    }
  }

  #relay(sender: Worker, message: FromWorker & { readonly type: 'broadcast' }): void {
    for (const worker of this.pool.all()) if (worker !== sender) worker.send(message)
  }

  #onBooted(worker: Worker): void {
    this.pool.booted(worker)
    this.#heardAt = this.#context.clock.now()
    if (this.#phase === 'starting') this.#phase = 'running'
    this.#emit({ type: 'worker.booted', source: SOURCE, worker: worker.id, bootMs: worker.ageMs })
  }

  #onReport(worker: Worker, report: WorkerReport): void {
    const before = worker.report
    worker.reported(report)
    if (this.#phase !== 'starting') this.#heardAt = this.#context.clock.now()
    if (sameReadiness(before, report)) return
    if (!report.ready) return this.#emit({ type: 'worker.unready', source: SOURCE, worker: worker.id, reasons: report.reasons })
    this.#emit({ type: 'worker.ready', source: SOURCE, worker: worker.id })
    if (!this.#everReady) this.#onFirstReady()
  }

  #onFirstReady(): void {
    const { clock, policy, createdAt } = this.#context
    this.#everReady = true
    policy.ready()
    this.#emit({ type: 'arbiter.ready', source: SOURCE, startupMs: clock.now() - createdAt })
    this.#firstReady.resolve()
  }

  /** A stray exception: the worker's other requests are innocent, so it drains while its replacement starts. */
  #onFailing(worker: Worker, { error }: FromWorker & { readonly type: 'failing' }): void {
    this.#emit({ type: 'worker.failing', source: SOURCE, worker: worker.id, error })
    if (worker.state === 'leaving') return
    this.pool.drain(worker)
    this.#backOff(worker)
  }

  #onExit(worker: Worker, code: number | null, signal: NodeJS.Signals | null): void {
    const { id, pid, state, killed, ageMs: lifetimeMs } = worker
    this.pool.remove(worker)
    const expected = state === 'leaving'
    const hint = killed ? undefined : DEATH_HINTS[signal ?? '']
    this.#emit({ type: 'worker.exited', source: SOURCE, worker: id, pid, code, signal, expected, lifetimeMs, hint })
    if (expected) return
    if (code === EXIT_CODES.config && this.#phase === 'starting') this.#giveUp('config', EXIT_CODES.config, 1)
    else this.#backOff(worker)
  }

  #backOff(worker: Worker): void {
    const enough = this.pool.backOff(worker.servedMs)
    if (enough) this.#giveUp('crash_loop', EXIT_CODES.failure, enough.giveUpAfter)
  }

  #giveUp(reason: 'config' | 'crash_loop', exitCode: number, failures: number): void {
    this.#gaveUp = true
    this.#exitCode = exitCode
    this.#emit({ type: 'arbiter.gave_up', source: SOURCE, reason, failures })
    this.#stop()
  }

  /** Readiness goes at once; accepting goes on for `delayMs`, unless nothing accepts yet. */
  #drain(delayMs: number): void {
    if (this.#phase === 'stopping') return
    const { drainTimeoutMs: timeoutMs, clock } = this.#context
    const effectiveMs = this.#phase === 'starting' ? 0 : delayMs
    if (this.#phase !== 'draining') {
      this.#emit({ type: 'arbiter.draining', source: SOURCE, delayMs: effectiveMs, timeoutMs })
      this.#phase = 'draining'
      this.#delay = clock.after(effectiveMs, () => this.post({ type: 'delayOver' }))
    }
    if (effectiveMs === 0) this.#stop()
  }

  #stop(): void {
    if (this.#phase === 'stopping') return
    this.#phase = 'stopping'
    this.#delay?.[Symbol.dispose]()
    this.pool.endHold()
    // Else the kernel would go on taking connections that nobody will ever answer.
    this.#context.stopListening()
    this.#emit({ type: 'arbiter.stopping', source: SOURCE, workers: this.pool.size })
    for (const worker of this.pool.all()) if (worker.state !== 'leaving') this.pool.drain(worker)
  }

  #onOverdue(worker: Worker): void {
    if (this.#phase === 'stopping' && this.#exitCode === EXIT_CODES.ok) this.#exitCode = EXIT_CODES.failure
    this.pool.kill(worker, 'drain_timeout')
  }

  #quit(): void {
    this.#stop()
    this.#exitCode = EXIT_CODES.interrupted
    for (const worker of this.pool.all()) this.pool.kill(worker, 'quit')
  }
}

/** Whether there is anything to tell: why a worker isn't ready matters from its first report on. */
function sameReadiness(before: WorkerReport | undefined, now: WorkerReport): boolean {
  if (now.ready) return before?.ready === true
  return before?.ready === false && before.reasons.join() === now.reasons.join()
}
