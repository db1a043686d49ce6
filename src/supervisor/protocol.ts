/** What arbiter and worker say to each other over the pipe between them. Structured clone, one version on both sides. */

/** Goes up with every change that an older other side would misread. */
export const PROTOCOL_VERSION = 1

/** The worker's descriptor of the shared listening socket: after stdin, stdout, stderr and the pipe itself. */
export const LISTEN_FD = 4

/** Environment variables through which a worker learns who it is. */
export const WORKER_ENV = { version: 'KEELSON_WORKER_PROTOCOL', id: 'KEELSON_WORKER_ID', count: 'KEELSON_WORKER_COUNT' } as const

/** Whether a worker can take requests, as it says itself. */
export interface Readiness {
  readonly ready: boolean
  /** Why it is not ready; short and stable, e.g. `database`. */
  readonly reasons: readonly string[]
  /** What works less well than it should, while requests are still served; e.g. `redis`. */
  readonly degraded: readonly string[]
}

/** What a worker says about itself every second, when its readiness changes, and once more before it exits. */
export interface WorkerReport extends Readiness {
  /** The service's own figures; opaque here, anything that can be cloned. */
  readonly metrics: unknown
}

/** An error, as far as it survives the way through a pipe. */
export interface ErrorSummary {
  readonly name: string
  readonly code: string | undefined
  readonly message: string
  readonly stack: string | undefined
}

export interface Broadcast {
  readonly type: 'broadcast'
  readonly topic: string
  readonly data: unknown
}

export interface DrainOrder {
  readonly type: 'drain'
  /** When to cut what still runs, in milliseconds from now. */
  readonly timeoutMs: number
  /** How long a quiet connection may stay open, in milliseconds. */
  readonly idleGraceMs: number
}

export type ToWorker = DrainOrder | Broadcast

export type FromWorker =
  | Broadcast
  /** The service has started and accepts connections. */
  | { readonly type: 'booted' }
  | { readonly type: 'bootFailed'; readonly error: ErrorSummary }
  | { readonly type: 'report'; readonly report: WorkerReport }
  /** A stray exception or rejection: the worker wants to be drained and replaced. */
  | { readonly type: 'failing'; readonly error: ErrorSummary }
  | { readonly type: 'drained'; readonly cutRequests: number; readonly cutConnections: number }

export function summarizeError(error: unknown): ErrorSummary {
  if (!(error instanceof Error)) return { name: 'Error', code: undefined, message: String(error), stack: undefined }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return { name: error.name, code, message: error.message, stack: error.stack }
}

/** A service's own figures failed it. As text: of a warning that is an Error, Node ignores the code. */
export function warnOfMetrics(error: unknown): void {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  process.emitWarning(`the figures could not be reported: ${message}`, {
    code: 'KEELSON_METRICS_FAILED',
    ...(stack ? { detail: stack } : {}),
  })
}
