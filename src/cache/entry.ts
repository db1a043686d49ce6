/** An entry of the first level, and what its age allows. All times are monotonic milliseconds. */

export interface Entry<T> {
  readonly value: T | null
  readonly tags: readonly string[]
  /** Until then it is served without a second thought. */
  readonly freshUntil: number
  /** Until then this process need not ask Redis whether another machine has invalidated it. */
  trustedUntil: number
  /** Until then no new load is tried, because the last one failed. */
  retryAt: number
}

/** The two windows in which an entry that is no longer fresh may still be served, both counted from that moment. */
export interface StaleWindows {
  readonly staleWhileRevalidateMs: number
  readonly staleIfErrorMs: number
}

/** What may be done with an entry: serve it; serve it and load a new one; serve it for want of a better; only load. */
export type Verdict = 'fresh' | 'revalidate' | 'throttled' | 'load'

export function judge(entry: Entry<unknown>, windows: StaleWindows, now: number): Verdict {
  if (now < entry.freshUntil) return 'fresh'
  if (now < entry.freshUntil + windows.staleWhileRevalidateMs) return now < entry.retryAt ? 'throttled' : 'revalidate'
  return now < entry.retryAt && mayServeOnError(entry, windows, now) ? 'throttled' : 'load'
}

/** Whether the entry may stand in for a load that failed. */
export function mayServeOnError(entry: Entry<unknown>, windows: StaleWindows, now: number): boolean {
  return now < entry.freshUntil + staleMs(windows)
}

/** How long an entry is of any use after it stops being fresh. */
export function staleMs(windows: StaleWindows): number {
  return Math.max(windows.staleWhileRevalidateMs, windows.staleIfErrorMs)
}
