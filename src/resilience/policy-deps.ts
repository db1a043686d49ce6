/** What a pipeline hands to each of its policies when it is built. */
import type { Clock } from '../core/clock.ts'
import type { Listener } from '../core/telemetry.ts'
import type { ResilienceEvent } from './events.ts'

export interface PolicyDeps {
  /** The pipeline's name: `source` of every event. */
  readonly name: string
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly emit: Listener<ResilienceEvent>
}
