/** What a process does with an error that keeps its service from starting. */
import { inspect } from 'node:util'
import { isKeelsonError } from '../core/errors.ts'
import { EXIT_CODES } from './exit-codes.ts'

/** A wrong configuration has its own exit code, because trying again can't help. */
export function exitCodeFor(error: unknown): number {
  return isKeelsonError(error, 'KEELSON_CONFIG_INVALID') ? EXIT_CODES.config : EXIT_CODES.failure
}

/** Says on stderr why the service did not start. An error whose message says it all needs no stack. */
export function printBootFailure(error: unknown): void {
  const plain = isKeelsonError(error, 'KEELSON_CONFIG_INVALID') || isKeelsonError(error, 'KEELSON_LISTEN_FAILED')
  const text = plain ? error.message : inspect(error)
  process.stderr.write(`keelson: the service did not start: ${text}\n`)
}
