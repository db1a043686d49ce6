/**
 * What the probes answer, from what is known; pure.
 * Liveness fails only where a restart would help; readiness fails before connections are refused.
 */
import type { WorkerStatus } from './worker.ts'

/**
 * `starting` until a worker has booted · `running` · `draining`: still accepts, but is no longer ready ·
 * `stopping`: accepts nothing.
 */
export type Phase = 'starting' | 'running' | 'draining' | 'stopping'

export interface SupervisorState {
  readonly phase: Phase
  /** Whether the supervisor has stopped trying. */
  readonly gaveUp: boolean
  /** Since any worker was last heard, in milliseconds; 0 until one has booted. */
  readonly silentMs: number
  readonly workers: readonly WorkerStatus[]
}

/** Before anything is known. */
export const STARTING: SupervisorState = { phase: 'starting', gaveUp: false, silentMs: 0, workers: [] }

export interface ProbeAnswer {
  readonly ok: boolean
  readonly reasons: readonly string[]
  readonly degraded: readonly string[]
}

/** Silence of all workers after which the process is not alive, in milliseconds. */
const DEAD_AFTER_MS = 45_000

/** Silence of one worker, which reports every second, after which it is not ready, in milliseconds. */
const STALE_AFTER_MS = 5_000

const answer = (reasons: readonly string[], degraded: readonly string[] = []): ProbeAnswer => ({
  ok: reasons.length === 0,
  reasons,
  degraded,
})

/** Must the process be restarted? */
export function livez({ gaveUp, silentMs }: SupervisorState): ProbeAnswer {
  if (gaveUp) return answer(['gave_up'])
  return answer(silentMs > DEAD_AFTER_MS ? ['workers_silent'] : [])
}

/** Has it started? Stays true from then on. */
export function startupz({ phase }: SupervisorState): ProbeAnswer {
  return answer(phase === 'starting' ? ['booting'] : [])
}

/** Should it get new requests? */
export function readyz({ phase, workers }: SupervisorState): ProbeAnswer {
  if (phase === 'draining' || phase === 'stopping') return answer(['draining'])
  if (phase === 'starting') return answer(['booting'])
  const serving = workers.filter((worker) => worker.state === 'serving')
  const ready = serving.filter((worker) => worker.ready && !isStale(worker))
  if (ready.length > 0) return answer([], distinct(ready.flatMap((worker) => worker.degraded)))
  const reasons = distinct(serving.flatMap((worker) => (isStale(worker) ? ['worker_silent'] : worker.reasons)))
  return answer(reasons.length > 0 ? reasons : ['no_worker'])
}

const isStale = (worker: WorkerStatus): boolean => (worker.silentMs ?? 0) > STALE_AFTER_MS

const distinct = (values: readonly string[]): readonly string[] => [...new Set(values)]
