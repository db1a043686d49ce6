/** Clients that send one request after the other, and an account of how each of them ended. */
import { setTimeout as pause } from 'node:timers/promises'
import { CallFailed, Client, type Answer } from './client.ts'

export interface Failure {
  /** `ECONNREFUSED`, `ECONNRESET`, `HUNG`, or a status. */
  readonly code: string
  readonly requestId: string
  /** Whether its connection had served before. */
  readonly reused: boolean
  /** By `performance.now()`. */
  readonly sentAt: number
  readonly failedAt: number
}

export interface LoadOptions {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  /** Default: `/protected`. */
  readonly path?: string
  readonly clients: number
  /** Whether a client keeps its connection, or takes a new one for each request. */
  readonly keepAlive: boolean
}

export class Load implements AsyncDisposable {
  ok = 0
  longestMs = 0
  readonly failures: Failure[] = []
  readonly #options: LoadOptions
  readonly #done: Promise<unknown>
  #stopped = false

  constructor(options: LoadOptions) {
    this.#options = options
    this.#done = Promise.all(Array.from({ length: options.clients }, () => this.#client()))
  }

  /** Resolves when `count` more requests than now have been answered. */
  async answered(count: number): Promise<void> {
    const enough = this.ok + count
    while (this.ok < enough && !this.#stopped) await pause(5)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #client(): Promise<void> {
    const { url, headers, keepAlive, path = '/protected' } = this.#options
    using client = new Client(url, headers, keepAlive)
    while (!this.#stopped) {
      const sentAt = performance.now()
      try {
        this.#note(await client.get(path), sentAt)
      } catch (error) {
        if (!(error instanceof CallFailed)) throw error
        const { code, requestId, reused } = error
        this.failures.push({ code, requestId, reused, sentAt, failedAt: performance.now() })
        // Whoever was refused asks again, but not in a tight loop.
        await pause(10)
      }
    }
  }

  #note({ status, requestId, ms }: Answer, sentAt: number): void {
    this.longestMs = Math.max(this.longestMs, ms)
    if (status === 200) this.ok += 1
    else this.failures.push({ code: String(status), requestId, reused: false, sentAt, failedAt: performance.now() })
  }
}
