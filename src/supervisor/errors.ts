/** The supervisor's errors: code, kind, message. */
import { KeelsonError } from '../core/errors.ts'

/** What the operating system's refusals mean to whoever chose the address. */
const LISTEN_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there',
  EACCES: 'this user may not use that port',
  EADDRNOTAVAIL: 'that address is not one of this machine',
  ENOTFOUND: 'the host name has no address',
  EAI_AGAIN: 'the host name could not be looked up just now',
}

export interface ListenFailure {
  /** Which listener: the service's or the admin one. */
  readonly listener: 'public' | 'admin'
  readonly host: string
  readonly port: number
  /** The system's code, e.g. `EADDRINUSE`, or a sentence. */
  readonly reason: string
}

/** A listener could not be bound. Not retryable: somebody has to change the address or free it. */
export function listenFailed(failure: ListenFailure, cause?: unknown): KeelsonError<'KEELSON_LISTEN_FAILED'> {
  const { listener, host, port, reason } = failure
  const meaning = LISTEN_REASONS[reason]
  const said = meaning ? `${meaning} (${reason})` : reason
  return new KeelsonError('KEELSON_LISTEN_FAILED', 'unavailable', `cannot listen on ${host}:${port} (${listener}): ${said}`, {
    cause,
    details: { ...failure },
    retryable: false,
  })
}

/** The service stopped before it was ready for the first time. */
export function notStarted(exitCode: number): KeelsonError<'KEELSON_NOT_STARTED'> {
  return new KeelsonError('KEELSON_NOT_STARTED', 'unavailable', `the service ended before it was ready (exit code ${exitCode})`, {
    details: { exitCode },
    retryable: false,
  })
}

/** `runWorker` was called in a process that no arbiter started. */
export function notSupervised(): KeelsonError<'KEELSON_NOT_SUPERVISED'> {
  return new KeelsonError(
    'KEELSON_NOT_SUPERVISED',
    'internal',
    'runWorker must be called in a process that the arbiter started; use runSingle to run without one',
  )
}
