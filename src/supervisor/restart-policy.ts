/**
 * When a dead worker is replaced, and when to give up. Pure: it is told of deaths and answers with delays.
 * Exponential back-off with a little jitter; too much of it would let a boot loop spin.
 */
import { atLeast, between, integerAtLeast, resolveOptions } from '../core/options.ts'

export interface RestartOptions {
  /** The first delay, in milliseconds; it doubles with each failure in a row. Default: 100. */
  readonly baseDelayMs: number
  /** Longest delay after a worker that failed to boot, in milliseconds. Default: 30_000. */
  readonly maxBootDelayMs: number
  /**
   * Longest delay after a worker that had booted, in milliseconds. Short, because it did serve:
   * a replacement is worth more than the processor time of a boot per second. Default: 1_000.
   */
  readonly maxCrashDelayMs: number
  /** A booted worker that dies before this age, in milliseconds, dies young: it counts as a failure. Default: 10_000. */
  readonly youngMs: number
  /** Failures in a row, while nothing has ever been ready, after which the arbiter gives up. Default: 5. */
  readonly maxFailures: number
  /** Part of each delay that chance may take off, from 0 to 1. Default: 0.25. */
  readonly jitterRatio: number
}

export const RESTART_DEFAULTS: RestartOptions = {
  baseDelayMs: 100,
  maxBootDelayMs: 30_000,
  maxCrashDelayMs: 1_000,
  youngMs: 10_000,
  maxFailures: 5,
  jitterRatio: 0.25,
}

export interface RestartPolicy {
  /** A worker has booted: earlier failures to boot are forgiven. */
  booted(): void
  /** A worker has reported itself ready: from now on the policy never gives up. */
  ready(): void
  /** A worker has died unasked; `servedMs` is its age since it booted, or `undefined` if it never did. */
  died(servedMs: number | undefined): RestartDecision
}

export interface RestartDecision {
  /** How long to wait before the next start, in milliseconds. */
  readonly delayMs: number
  /** Failures in a row, this one included; 0 after the death of a worker that had lived long enough. */
  readonly failures: number
  /** Whether to stop trying. */
  readonly giveUp: boolean
}

/** @throws KeelsonError `KEELSON_CONFIG_INVALID` for an option out of range. */
export function createRestartPolicy(given?: Partial<RestartOptions>, random: () => number = Math.random): RestartPolicy {
  const options = resolveOptions('restart', RESTART_DEFAULTS, given, {
    baseDelayMs: atLeast(1),
    maxBootDelayMs: atLeast(1),
    maxCrashDelayMs: atLeast(1),
    youngMs: atLeast(0),
    maxFailures: integerAtLeast(1),
    jitterRatio: between(0, 1),
  })
  let bootFailures = 0
  let youngDeaths = 0
  let everReady = false

  /** The wait before retry number `nth`, 0 being the one that does not wait. */
  const delay = (nth: number, ceilingMs: number): number =>
    nth === 0 ? 0 : Math.min(ceilingMs, options.baseDelayMs * 2 ** (nth - 1)) * (1 - options.jitterRatio * random())

  return {
    booted: () => void (bootFailures = 0),
    ready: () => void (everReady = true),
    died(servedMs) {
      if (servedMs === undefined) bootFailures += 1
      else youngDeaths = servedMs < options.youngMs ? youngDeaths + 1 : 0
      const failures = bootFailures + youngDeaths
      const delayMs =
        servedMs === undefined
          ? delay(bootFailures, options.maxBootDelayMs)
          : delay(Math.max(0, youngDeaths - 1), options.maxCrashDelayMs)
      return { delayMs, failures, giveUp: !everReady && failures >= options.maxFailures }
    },
  }
}
