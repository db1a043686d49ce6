/** `Retry-After` (RFC 9110 §10.2.3), jittered, so that those turned away together don't come back together. */
import type { Verdict } from './status.ts'

const DEFAULT_MIN_MS = 1_000
const DEFAULT_MAX_MS = 3_000
const JITTER_RATIO = 0.1

/** @returns whole seconds, at least 1, never less than was asked for; nothing for answers that call for no other try. */
export function retryAfterSeconds(verdict: Verdict, random: () => number): number | undefined {
  if (verdict.status !== 429 && verdict.status !== 503) return undefined
  const { retryAfterMs } = verdict
  const waitMs =
    retryAfterMs === undefined
      ? DEFAULT_MIN_MS + random() * (DEFAULT_MAX_MS - DEFAULT_MIN_MS)
      : retryAfterMs * (1 + random() * JITTER_RATIO)
  return Math.max(1, Math.ceil(waitMs / 1_000))
}
