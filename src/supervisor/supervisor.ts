/** A running service as seen from outside, and what starting one has in common with an arbiter and without. */
import { NEVER, untilAborted } from '../core/abort.ts'
import { systemClock } from '../core/clock.ts'
import { createEmitter } from '../core/telemetry.ts'
import type { AdminListener, AdminSource } from './admin.ts'
import { ArbiterLoop, type LoopContext } from './arbiter-loop.ts'
import { notStarted } from './errors.ts'
import { SUPERVISOR_CHANNEL, type Addresses, type SupervisorEvent } from './events.ts'
import type { RunOptions } from './options.ts'
import { STARTING, type SupervisorState } from './probes.ts'
import { summarizeError } from './protocol.ts'
import type { Reports } from './reports.ts'
import { listenToSignals, type SupervisorSignal } from './signals.ts'

export interface Supervisor extends AsyncDisposable {
  /** Where the listeners really are. */
  readonly addresses: Addresses
  /** The exit code, when everything has ended. Give it to `process.exit`; see `EXIT_CODES`. */
  readonly exited: Promise<number>
  /**
   * Resolves when requests can be taken for the first time.
   * @throws KeelsonError `KEELSON_NOT_STARTED` if the service ends before that; `signal.reason`.
   */
  whenReady(signal?: AbortSignal): Promise<void>
  /** Acts as if this process had got a signal. */
  signal(name: SupervisorSignal): void
  /** Drains without delay; returns the exit code. */
  stop(): Promise<number>
  /** What the probes go by. */
  state(): SupervisorState
  /** The figures that workers have reported. */
  reports(): Reports
}

/** What is open, and how workers come to be. */
export interface Ground {
  readonly admin: AdminListener
  readonly publicAddress: () => Addresses['public']
  readonly launch: LoopContext['launch']
  readonly stopListening: LoopContext['stopListening']
}

export interface SuperviseOptions
  extends Pick<RunOptions, 'clock' | 'onEvent'>, Omit<LoopContext, 'clock' | 'emit' | 'createdAt' | 'launch' | 'stopListening'> {
  readonly handleSignals: boolean
}

/** Opens the ground, and runs the loop on it. The probes answer as soon as the admin listener is open. */
export async function supervise(
  { clock = systemClock, onEvent, handleSignals, ...options }: SuperviseOptions,
  open: (source: AdminSource) => Promise<Ground>,
): Promise<Supervisor> {
  const createdAt = clock.now()
  const emit = createEmitter<SupervisorEvent>(SUPERVISOR_CHANNEL, onEvent)
  // Probes may be asked before there is a loop.
  const running: { loop?: ArbiterLoop } = {}
  const ground = await open({
    state: () => running.loop?.state() ?? STARTING,
    reports: () => running.loop?.pool.reports() ?? { live: [], retired: [] },
    pageFailed: (path, error) => emit({ type: 'page.failed', source: 'arbiter', path, error: summarizeError(error) }),
  })
  running.loop = new ArbiterLoop({ ...options, ...ground, clock, emit, createdAt })
  emit({ type: 'arbiter.started', source: 'arbiter', addresses: addressesOf(ground), workers: options.workers })
  return new RunningService(running.loop, ground, handleSignals, emit)
}

const addressesOf = ({ publicAddress, admin }: Ground): Addresses => ({ public: publicAddress(), admin: admin.address })

class RunningService implements Supervisor {
  readonly exited: Promise<number>
  readonly #loop: ArbiterLoop
  readonly #ground: Ground
  readonly #emit: (event: SupervisorEvent) => void

  constructor(loop: ArbiterLoop, ground: Ground, handleSignals: boolean, emit: (event: SupervisorEvent) => void) {
    this.#loop = loop
    this.#ground = ground
    this.#emit = emit
    this.exited = this.#run(handleSignals)
  }

  get addresses(): Addresses {
    return addressesOf(this.#ground)
  }

  async #run(handleSignals: boolean): Promise<number> {
    const signals = handleSignals ? listenToSignals((signal) => this.signal(signal)) : undefined
    try {
      const exitCode = await this.#loop.run()
      this.#emit({ type: 'arbiter.stopped', source: 'arbiter', exitCode })
      return exitCode
    } finally {
      // After a normal end there is nothing left; after an error in the loop itself, nothing may stay.
      for (const worker of this.#loop.pool.all()) worker.kill()
      this.#ground.stopListening()
      this.#ground.admin[Symbol.dispose]()
      signals?.[Symbol.dispose]()
    }
  }

  async whenReady(signal: AbortSignal = NEVER): Promise<void> {
    const ended = this.exited.then((exitCode) => {
      throw notStarted(exitCode)
    })
    await untilAborted(Promise.race([this.#loop.firstReady, ended]), signal)
  }

  signal(name: SupervisorSignal): void {
    this.#loop.post({ type: 'signal', signal: name })
  }

  stop(): Promise<number> {
    this.#loop.post({ type: 'stop' })
    return this.exited
  }

  state(): SupervisorState {
    return this.#loop.state()
  }

  reports(): Reports {
    return this.#loop.pool.reports()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
