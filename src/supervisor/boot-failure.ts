/** What a process does with an error that keeps its service from starting. */
import { inspect } from 'node:util'
import { isKeelsonError } from '../core/errors.ts'
import { EXIT_CODES } from './exit-codes.ts'

/** What is invalid (configuration, a route's policy, a schema) has its own exit code, because trying again can't help. */
export function exitCodeFor(error: unknown): number {
  return isInvalid(error) ? EXIT_CODES.config : EXIT_CODES.failure
}

/** Says on stderr why the service did not start. An error whose message says it all needs no stack. */
export function printBootFailure(error: unknown): void {
  const plain = isInvalid(error) || isKeelsonError(error, 'KEELSON_LISTEN_FAILED')
  const text = plain ? (error as Error).message : inspect(error)
  process.stderr.write(`keelson: the service did not start: ${text}\n`)
}

function isInvalid(error: unknown): boolean {
  return isKeelsonError(error) && error.kind === 'invalid'
}
