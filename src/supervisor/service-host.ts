/** One running service in this process: starts it, watches its readiness, drains and closes it. */
import type { Server } from 'node:http'
import type { AddressInfo, ListenOptions } from 'node:net'
import { once } from 'node:events'
import { every, type Clock } from '../core/clock.ts'
import { trackConnections, type Connections, type DrainOptions, type DrainOutcome } from './drain.ts'
import { listenFailed } from './errors.ts'
import { warnOfMetrics, type Readiness, type WorkerReport } from './protocol.ts'

/** Where to listen: an address, or a descriptor that listens already. */
export type ListenTarget = ListenOptions & { readonly fd?: number }

/** What a process runs. */
export interface WorkerService {
  /** Complete, but not listening yet: the supervisor decides where. */
  readonly server: Server
  /** Whether requests can be served now, from what is known: called often, so it must neither wait nor throw. */
  readiness(): Readiness
  /** The service's figures, sent along with each report. Must be structured-cloneable. */
  metrics?(): unknown
  /** Called when draining begins: end what would hold a connection for long, such as event streams. */
  onDrain?(): void
  /** Releases pools and clients; called when the last connection has ended. */
  close(): Promise<void>
}

/** What a service can ask of the process that runs it. */
export interface WorkerAgent {
  /** Counts up from 1, and is never used twice by one arbiter. */
  readonly id: number
  /** How many workers were aimed at when this one started; 1 without an arbiter. */
  readonly workerCount: number
  /**
   * Tells the other workers of this arbiter something. One sender's messages arrive in order. Nobody answers for
   * their arrival: a worker that dies or starts meanwhile misses them.
   */
  broadcast(topic: string, data: unknown): void
  /** Listens to what other workers broadcast, until disposed. */
  onBroadcast(topic: string, listener: (data: unknown) => void): Disposable
  /** Readiness may have changed: look at it now, and not at the next interval. */
  changed(): void
}

/** Makes the service ready to listen. @throws KeelsonError `KEELSON_CONFIG_INVALID` where another try is pointless. */
export type Boot = (agent: WorkerAgent) => Promise<WorkerService>

/** How often readiness is looked at, and how often it is reported even if nothing has changed, in milliseconds. */
const LOOK_EVERY_MS = 250
const REPORT_EVERY_MS = 1_000

const NOT_YET: Readiness = { ready: false, reasons: ['booting'], degraded: [] }

export class ServiceHost {
  readonly #clock: Clock
  readonly #onReport: (report: WorkerReport) => void
  #running: { readonly service: WorkerService; readonly connections: Connections; readonly watch: Disposable } | undefined
  /** Why the service must not get new requests, whatever it says itself. */
  #withdrawn: string | undefined
  #reported = ''
  #reportedAt = 0
  #leaving: Promise<DrainOutcome> | undefined
  /** Told to leave before it had booted. */
  #abandoned = false
  /** Whether it has been said that the figures can't be had; once is enough. */
  #warned = false

  constructor(clock: Clock, onReport: (report: WorkerReport) => void) {
    this.#clock = clock
    this.#onReport = onReport
  }

  /** Boots and listens. @throws what `boot` throws; KeelsonError `KEELSON_LISTEN_FAILED`. */
  async start(boot: Boot, agent: WorkerAgent, where: ListenTarget): Promise<void> {
    const service = await boot(agent)
    const connections = trackConnections(service.server, this.#clock)
    try {
      if (!this.#abandoned) await listen(service.server, where)
    } catch (error) {
      await service.close()
      throw error
    }
    if (this.#abandoned) {
      service.server.close()
      return service.close()
    }
    const watch = every(this.#clock, LOOK_EVERY_MS, () => this.look())
    this.#running = { service, connections, watch }
  }

  get started(): boolean {
    return this.#running !== undefined
  }

  get address(): AddressInfo | undefined {
    return (this.#running?.service.server.address() ?? undefined) as AddressInfo | undefined
  }

  /** Reports if readiness has changed, or if the last report is old. */
  look(): void {
    const readiness = this.#readiness()
    const said = JSON.stringify(readiness)
    const due = this.#clock.now() - this.#reportedAt >= REPORT_EVERY_MS
    if (!due && said === this.#reported) return
    this.#reported = said
    this.#report()
  }

  /** No longer ready, for `reason`, and says so at once. */
  withdraw(reason: string): void {
    this.#withdrawn = reason
    this.look()
  }

  /** Drains, reports once more and closes the service. A second call sets a new timeout and joins the first. */
  leave(drain: DrainOptions): Promise<DrainOutcome> {
    if (!this.#running) {
      this.#abandoned = true
      return Promise.resolve({ cutRequests: 0, cutConnections: 0 })
    }
    const { service, connections } = this.#running
    const drained = connections.drain(drain)
    if (this.#leaving) return this.#leaving
    this.#leaving = this.#close(drained)
    this.withdraw('draining')
    // In a turn of its own: what it throws is a stray exception, and must not keep the drain from ending well.
    queueMicrotask(() => service.onDrain?.())
    return this.#leaving
  }

  async #close(drained: Promise<DrainOutcome>): Promise<DrainOutcome> {
    const outcome = await drained
    this.#running?.watch[Symbol.dispose]()
    this.#report()
    await this.#running?.service.close()
    return outcome
  }

  #report(): void {
    this.#reportedAt = this.#clock.now()
    this.#onReport({ ...this.#readiness(), metrics: this.#metrics() })
  }

  #metrics(): unknown {
    try {
      return this.#running?.service.metrics?.()
    } catch (error) {
      if (!this.#warned) warnOfMetrics(error)
      this.#warned = true
      return undefined
    }
  }

  #readiness(): Readiness {
    if (!this.#running) return NOT_YET
    const own = readinessOf(this.#running.service)
    return this.#withdrawn === undefined ? own : { ...own, ready: false, reasons: [this.#withdrawn, ...own.reasons] }
  }
}

async function listen(server: Server, where: ListenTarget): Promise<void> {
  server.listen(where)
  try {
    await once(server, 'listening')
  } catch (error) {
    const { host = 'the shared socket', port = 0 } = where
    const reason = (error as NodeJS.ErrnoException).code ?? String(error)
    throw listenFailed({ listener: 'public', host, port, reason }, error)
  }
}

function readinessOf(service: WorkerService): Readiness {
  try {
    const { ready, reasons, degraded } = service.readiness()
    return { ready, reasons: [...reasons], degraded: [...degraded] }
  } catch {
    // A probe that can't tell is a service that can't be trusted, but no reason to end a process.
    return { ready: false, reasons: ['readiness_threw'], degraded: [] }
  }
}
