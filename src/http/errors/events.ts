/** What the HTTP border reports besides the requests themselves. Channel: `keelson:http`. */
import { createEmitter, type Listener, type TelemetryEvent } from '../../core/telemetry.ts'

export const HTTP_CHANNEL = 'keelson:http'

/** A request was answered before any hook could see it, so that no access log or request counter knows of it. */
export interface RequestRefused extends TelemetryEvent {
  readonly type: 'request.refused'
  /** Who refused: Node's `parser` and its time limits, or Fastify's `router`. */
  readonly source: 'parser' | 'router'
  readonly status: number
  /** The problem's code, e.g. `KEELSON_HEADERS_TOO_LARGE`. */
  readonly code: string
  /** The uuid in the problem's `instance`. */
  readonly errorId: string
}

export type HttpEvent = RequestRefused

/** The border has no instance that could have a listener of its own. */
export const emitHttpEvent: Listener<HttpEvent> = createEmitter<HttpEvent>(HTTP_CHANNEL)
