/** The worker's side: runs the service, reports, drains when told to, and asks to be replaced when it goes astray. */
import type { Clock } from '../core/clock.ts'
import { exitCodeFor, printBootFailure } from './boot-failure.ts'
import type { DrainOptions } from './drain.ts'
import { EXIT_CODES } from './exit-codes.ts'
import { warnOfMetrics, summarizeError, type FromWorker, type ToWorker, type WorkerReport } from './protocol.ts'
import { ServiceHost, type Boot, type ListenTarget, type WorkerAgent } from './service-host.ts'

/** What joins a worker to its supervisor. */
export interface SupervisorLink {
  readonly id: number
  readonly workerCount: number
  /** Calls `done` when the message is on its way. @throws `DataCloneError` for what can't be sent. */
  send(message: FromWorker, done?: () => void): void
  /** The worker has ended. */
  exit(code: number): void
}

/** Stray errors that are told one by one: one thrown by a timer would come again and again while draining. */
const MAX_STRAYS_TOLD = 10

export class Agent implements WorkerAgent {
  readonly id: number
  readonly workerCount: number
  readonly #link: SupervisorLink
  readonly #host: ServiceHost
  readonly #listeners = new Map<string, Set<(data: unknown) => void>>()
  #exitCode: number = EXIT_CODES.ok
  #strays = 0
  #leaving = false

  constructor(link: SupervisorLink, clock: Clock) {
    this.id = link.id
    this.workerCount = link.workerCount
    this.#link = link
    this.#host = new ServiceHost(clock, (report) => this.#sendReport(report))
  }

  /** Where the service listens; `undefined` until it does. */
  get address(): ServiceHost['address'] {
    return this.#host.address
  }

  async run(boot: Boot, where: ListenTarget): Promise<void> {
    try {
      await this.#host.start(boot, this, where)
    } catch (error) {
      return this.#failToBoot(error)
    }
    if (!this.#host.started) return
    this.#link.send({ type: 'booted' })
    this.#host.look()
  }

  broadcast(topic: string, data: unknown): void {
    this.#link.send({ type: 'broadcast', topic, data })
  }

  onBroadcast(topic: string, listener: (data: unknown) => void): Disposable {
    const listeners = this.#listeners.get(topic) ?? new Set()
    this.#listeners.set(topic, listeners.add(listener))
    return { [Symbol.dispose]: () => void listeners.delete(listener) }
  }

  changed(): void {
    this.#host.look()
  }

  obey(message: ToWorker): void {
    switch (message.type) {
      case 'drain':
        void this.leave(message)
        break
      case 'broadcast':
        for (const listener of this.#listeners.get(message.topic) ?? []) listener(message.data)
        break
    }
  }

  /**
   * An exception or rejection that nobody caught. Who else shares the damage is unknown, so the worker ends; but the
   * requests beside the guilty one are innocent, so it drains first: the arbiter answers with the order to.
   */
  stray(error: unknown): void {
    if (!this.#host.started) return this.#failToBoot(error)
    this.#exitCode = EXIT_CODES.failure
    this.#strays += 1
    if (this.#strays <= MAX_STRAYS_TOLD) this.#link.send({ type: 'failing', error: summarizeError(error) })
    if (this.#strays === 1) this.#host.withdraw('failing')
  }

  /** Drains, closes and ends. A second call brings the timeout forward, or back. */
  async leave(drain: DrainOptions): Promise<void> {
    const left = this.#host.leave(drain)
    if (this.#leaving) return
    this.#leaving = true
    try {
      this.#endWith({ type: 'drained', ...(await left) }, this.#exitCode)
    } catch (error) {
      this.#endWith({ type: 'failing', error: summarizeError(error) }, EXIT_CODES.failure)
    }
  }

  #failToBoot(error: unknown): void {
    printBootFailure(error)
    this.#endWith({ type: 'bootFailed', error: summarizeError(error) }, exitCodeFor(error))
  }

  #endWith(lastWords: FromWorker, exitCode: number): void {
    this.#link.send(lastWords, () => this.#link.exit(exitCode))
  }

  #sendReport(report: WorkerReport): void {
    try {
      this.#link.send({ type: 'report', report })
    } catch (error) {
      // Readiness must get through even where the figures can't.
      warnOfMetrics(error)
      this.#link.send({ type: 'report', report: { ...report, metrics: undefined } })
    }
  }
}
