/**
 * Waits for a database that isn't there yet, as at boot: tries again with a growing, jittered pause, and speaks
 * once per change of reason, so that a log shows what is wrong and not how often it was tried.
 */
import { NEVER } from '../core/abort.ts'
import type { Clock } from '../core/clock.ts'
import type { Listener } from '../core/telemetry.ts'
import type { Target } from './database-options.ts'
import type { DatabaseUnreachable, PostgresEvent } from './events.ts'
import { toDatabaseError } from './sqlstate.ts'

const FIRST_PAUSE_MS = 100
const LAST_PAUSE_MS = 5_000

export interface ReachOptions {
  /** Ends the waiting. Default: never. */
  readonly signal?: AbortSignal | undefined
  /** Hears what the `database.unreachable` event says. Default: nobody. */
  readonly onWaiting?: ((event: DatabaseUnreachable) => void) | undefined
}

interface ReachContext {
  readonly source: string
  readonly target: Target
  readonly clock: Clock
  readonly random: () => number
  readonly emit: Listener<PostgresEvent>
}

/** Resolves after the first `ping` that does. @throws `signal.reason`. */
export async function untilReachable(
  ping: (signal: AbortSignal) => Promise<void>,
  { source, target, clock, random, emit }: ReachContext,
  { signal = NEVER, onWaiting }: ReachOptions,
): Promise<void> {
  const { host, database } = target
  const startedAt = clock.now()
  let lastReason: string | undefined
  for (let attempt = 1; ; attempt++) {
    try {
      await ping(signal)
      if (lastReason) emit({ type: 'database.reached', source, host, database, afterMs: clock.now() - startedAt })
      return
    } catch (error) {
      signal.throwIfAborted()
      const reason = reasonOf(error)
      if (reason !== lastReason) {
        const event: DatabaseUnreachable = { type: 'database.unreachable', source, host, database, reason, attempt }
        emit(event)
        onWaiting?.(event)
      }
      lastReason = reason
    }
    const ceiling = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1))
    await clock.sleep(ceiling * (0.5 + random() / 2), signal)
  }
}

/** What happened, with the driver's code but without its text, which may hold what was in the URL. */
function reasonOf(error: unknown): string {
  const { message, cause } = toDatabaseError(error)
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
  return code ? `${message} (${code})` : message
}
