/** Lets the first few of many equal events through each second, and counts the rest, so that a flood stays readable. */
import type { Clock } from '../../core/clock.ts'

const WINDOW_MS = 1_000
const MAX_KEYS = 100

export interface Sampler {
  /** @returns how many equal events were left out since the last one let through; nothing if this one is left out too. */
  admit(key: string): number | undefined
}

export function createSampler(clock: Clock, perSecond: number): Sampler {
  const windows = new Map<string, { startedAt: number; admitted: number; suppressed: number }>()
  return {
    admit(given) {
      const key = windows.has(given) || windows.size < MAX_KEYS ? given : 'other'
      const now = clock.now()
      let window = windows.get(key)
      if (!window) windows.set(key, (window = { startedAt: now, admitted: 0, suppressed: 0 }))
      if (now - window.startedAt >= WINDOW_MS) Object.assign(window, { startedAt: now, admitted: 0 })
      if (window.admitted >= perSecond) {
        window.suppressed++
        return undefined
      }
      window.admitted++
      const { suppressed } = window
      window.suppressed = 0
      return suppressed
    },
  }
}
