/**
 * Whether the server is alive, for a health check. In a full pool a ping waits behind requests, and a worker that is
 * merely busy would look broken, every replica at once; so what the server has answered others counts as well.
 */
import type { Database } from './database.ts'

/**
 * @returns a check to be run again and again. It resolves at once when a statement has succeeded since it last looked,
 * else it pings. It throws as `ping` does.
 */
export function pulseOf(database: Pick<Database, 'ping' | 'snapshot'>): (signal: AbortSignal) => Promise<void> {
  let seen = 0
  return async function checkPulse(signal) {
    if (database.snapshot().succeeded === seen) await database.ping(signal)
    seen = database.snapshot().succeeded
  }
}
