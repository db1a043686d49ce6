/** What an error says about the attempt that met it: whether it took effect, and whether another may do better. */
import { isKeelsonError } from '../core/errors.ts'
import { isRefusal } from './errors.ts'
import { classOfNodeError, type NodeCodeClass } from './node-codes.ts'

/**
 * `unprocessed`: the dependency never acted on it, so it is always safe to send again ·
 * `ambiguous`: it may have taken effect · `permanent`: the same call would fail again, or nobody knows better ·
 * `cancelled`: someone wanted it no more · `refused`: a breaker or a bulkhead of ours said no.
 */
export type ErrorClass = NodeCodeClass | 'refused'

/** How far down a chain of causes to look; chains can be cyclic. */
const MAX_DEPTH = 5

export function classify(error: unknown): ErrorClass {
  if (isRefusal(error)) return 'refused'
  if (!isKeelsonError(error)) return classifyForeign(error, MAX_DEPTH) ?? 'permanent'
  if (error.kind === 'cancelled') return 'cancelled'
  if (!error.retryable) return 'permanent'
  return classifyForeign(error.cause, MAX_DEPTH) === 'unprocessed' ? 'unprocessed' : 'ambiguous'
}

function classifyForeign(error: unknown, depth: number): NodeCodeClass | undefined {
  if (!(error instanceof Error) || depth === 0) return undefined
  if (error.name === 'AbortError') return 'cancelled'
  if (error.name === 'TimeoutError') return 'ambiguous'
  const known = classOfNodeError(error)
  if (known) return known
  if (error instanceof AggregateError) return classifyAll(error.errors, depth - 1)
  return classifyForeign(error.cause, depth - 1)
}

/** One address of a host may have been reached while the others refused: only the unanimous case is certain. */
function classifyAll(errors: readonly unknown[], depth: number): NodeCodeClass | undefined {
  const classes = new Set(errors.map((error) => classifyForeign(error, depth)))
  if (classes.size === 1) return [...classes][0]
  return classes.has('ambiguous') || classes.has('unprocessed') ? 'ambiguous' : undefined
}
