/** How a breaker sees an outcome. A refusal or a cancellation says nothing about the dependency. */
import { isKeelsonError, type ErrorKind } from '../core/errors.ts'
import { classify } from './classify.ts'

export type Verdict = 'success' | 'failure' | 'none'

/** The dependency answered, and the answer was about the request: it works. */
const ANSWERS: ReadonlySet<ErrorKind> = new Set<ErrorKind>(['invalid', 'unauthenticated', 'forbidden', 'not_found', 'conflict'])

export function verdictOn(error: unknown, isFailure?: (error: unknown) => boolean): Verdict {
  const what = classify(error)
  if (what === 'cancelled' || what === 'refused') return 'none'
  if (isFailure) return isFailure(error) ? 'failure' : 'success'
  return isKeelsonError(error) && ANSWERS.has(error.kind) ? 'success' : 'failure'
}
