/** All pipelines of the process, for health, metrics and the ops page. */
import { createRegistry, type Registry } from '../core/registry.ts'
import type { BreakerSnapshot } from './breaker.ts'
import type { BulkheadSnapshot } from './bulkhead.ts'

export interface PipelineSnapshot {
  readonly name: string
  /** The policies that are on, outermost first. */
  readonly policies: readonly string[]
  /** Calls that ended well, and that did not, since the pipeline was made; a fallback's answer counts as failed. */
  readonly succeeded: number
  readonly failed: number
  /** Calls that somebody waits for now. */
  readonly running: number
  /** Work that still runs though its caller has been answered. */
  readonly leaked: number
  readonly breaker: BreakerSnapshot | undefined
  readonly bulkhead: BulkheadSnapshot | undefined
  readonly retryBudget: { readonly tokens: number; readonly cap: number } | undefined
}

export const pipelines: Registry<PipelineSnapshot> = createRegistry<PipelineSnapshot>()
