/**
 * Bulkhead: at most so many calls run at a time, and at most so many wait, first come first served.
 * A slot that becomes free is handed to the first who waits before anyone else can see it free; so a newcomer never
 * overtakes, and never displaces one who was accepted.
 */
import { integerAtLeast, resolveOptions } from '../core/options.ts'
import { bulkheadFullError } from './errors.ts'
import type { PolicyDeps } from './policy-deps.ts'

export interface BulkheadOptions {
  /** Calls that may run at a time. Default: 50. */
  readonly limit: number
  /** Calls that may wait for a slot; 0 refuses instead of waiting. Default: 50. */
  readonly queueLimit: number
}

export const BULKHEAD_DEFAULTS: BulkheadOptions = { limit: 50, queueLimit: 50 }

export interface BulkheadSnapshot {
  /** Slots taken, also by work that outlived its caller. */
  readonly inFlight: number
  readonly limit: number
  readonly queued: number
  readonly queueLimit: number
}

/** A place in the queue. Doubly linked, so that one who gives up leaves in one step. */
class Place {
  readonly #entry: PromiseWithResolvers<void> = Promise.withResolvers<void>()
  next: Place | undefined
  previous: Place | undefined

  get entered(): Promise<void> {
    return this.#entry.promise
  }

  admit(): void {
    this.#entry.resolve()
  }

  giveUp(reason: unknown): void {
    this.#entry.reject(reason)
  }
}

export interface QueuedCall {
  /** Resolves with a slot taken; rejects with the reason given to `giveUp`. */
  readonly entered: Promise<void>
  /** Leaves the queue at once; does nothing once a slot is taken. */
  readonly giveUp: (reason: unknown) => void
}

export class Bulkhead {
  readonly #options: BulkheadOptions
  readonly #deps: PolicyDeps
  #inFlight = 0
  #queued = 0
  #first: Place | undefined
  #last: Place | undefined

  constructor(given: Partial<BulkheadOptions>, deps: PolicyDeps) {
    this.#options = resolveOptions<BulkheadOptions>('bulkhead', BULKHEAD_DEFAULTS, given, {
      limit: integerAtLeast(1),
      queueLimit: integerAtLeast(0),
    })
    this.#deps = deps
  }

  /** Takes a slot if one is free, which it never is while somebody waits. */
  tryEnter(): boolean {
    if (this.#inFlight >= this.#options.limit) return false
    this.#inFlight++
    return true
  }

  /**
   * Takes the last place in the queue.
   * @throws `KEELSON_BULKHEAD_FULL` when the queue is full.
   */
  queue(): QueuedCall {
    const { limit, queueLimit } = this.#options
    if (this.#queued >= queueLimit) {
      const { name, emit } = this.#deps
      emit({ type: 'bulkhead.rejected', source: name, inFlight: this.#inFlight, queued: this.#queued })
      throw bulkheadFullError(name, limit, queueLimit)
    }
    const place = this.#append()
    const giveUp = (reason: unknown): void => {
      if (this.#remove(place)) place.giveUp(reason)
    }
    return { entered: place.entered, giveUp }
  }

  /** Hands the slot to the first who waits, or frees it. */
  leave(): void {
    const first = this.#first
    if (first && this.#remove(first)) first.admit()
    else this.#inFlight--
  }

  snapshot(): BulkheadSnapshot {
    const { limit, queueLimit } = this.#options
    return { inFlight: this.#inFlight, limit, queued: this.#queued, queueLimit }
  }

  #append(): Place {
    const place = new Place()
    place.previous = this.#last
    if (this.#last) this.#last.next = place
    else this.#first = place
    this.#last = place
    this.#queued++
    return place
  }

  /** @returns whether it was still queued. */
  #remove(place: Place): boolean {
    if (this.#first !== place && !place.previous) return false
    if (place.previous) place.previous.next = place.next
    else this.#first = place.next
    if (place.next) place.next.previous = place.previous
    else this.#last = place.previous
    place.previous = place.next = undefined
    this.#queued--
    return true
  }
}
