/** Counting a module's events: one entry per type, so that a new event does not compile until somebody has decided. */
import { subscribe, type TelemetryEvent } from '../../core/telemetry.ts'

/** `null` is for an event that is passed over on purpose. */
export type EventCounts<E extends TelemetryEvent> = {
  readonly [Type in E['type']]: ((event: Extract<E, { readonly type: Type }>) => void) | null
}

/** Counts what is published on `channel` until disposed. */
export function countEvents<E extends TelemetryEvent>(channel: string, counts: EventCounts<E>): Disposable {
  return subscribe<E>(channel, function countEvent(event) {
    // Each entry takes the events of its own type; `undefined` for one from a newer copy of the package.
    const count = counts[event.type as E['type']] as ((event: E) => void) | null | undefined
    count?.(event)
  })
}
