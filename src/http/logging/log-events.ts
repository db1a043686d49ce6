/** Turns what the modules report into log lines: breakers that open, connections that die, workers that leave. */
import type { FastifyBaseLogger } from 'fastify'
import { systemClock, type Clock } from '../../core/clock.ts'
import { subscribe, type TelemetryEvent } from '../../core/telemetry.ts'
import { CACHE_CHANNEL } from '../../cache/events.ts'
import { POSTGRES_CHANNEL } from '../../postgres/events.ts'
import { REDIS_CHANNEL } from '../../redis/events.ts'
import { RESILIENCE_CHANNEL } from '../../resilience/events.ts'
import { SUPERVISOR_CHANNEL } from '../../supervisor/events.ts'
import {
  AUTH_LEVELS,
  CACHE_LEVELS,
  POSTGRES_LEVELS,
  REDIS_LEVELS,
  RESILIENCE_LEVELS,
  SUPERVISOR_LEVELS,
  type EventLevel,
} from './event-levels.ts'
import { createSampler } from './sampler.ts'

const LEVELS_BY_CHANNEL: Readonly<Record<string, Readonly<Record<string, EventLevel>>>> = {
  [RESILIENCE_CHANNEL]: RESILIENCE_LEVELS,
  [CACHE_CHANNEL]: CACHE_LEVELS,
  [POSTGRES_CHANNEL]: POSTGRES_LEVELS,
  [REDIS_CHANNEL]: REDIS_LEVELS,
  [SUPERVISOR_CHANNEL]: SUPERVISOR_LEVELS,
  'keelson:auth': AUTH_LEVELS,
}

/** Of one type, from one source: a dependency that is down fails a thousand times a second, always the same way. */
const LINES_PER_SECOND = 10

/** Channels are called `keelson:cache` and the like. */
const MODULE_AT = 'keelson:'.length

type EventLogger = Pick<FastifyBaseLogger, 'debug' | 'info' | 'warn' | 'error'>

/** Logs until disposed, in this process: a worker hears its own modules, the arbiter the supervisor. */
export function logEvents(logger: EventLogger, clock: Clock = systemClock): Disposable {
  const sampler = createSampler(clock, LINES_PER_SECOND)
  const listening = Object.entries(LEVELS_BY_CHANNEL).map(([channel, levels]) =>
    subscribe<TelemetryEvent>(channel, function logEvent(event) {
      const level = levels[event.type]
      if (!level) return
      const suppressed = sampler.admit(`${event.type} ${event.source}`)
      if (suppressed !== undefined)
        logger[level]({ module: channel.slice(MODULE_AT), ...fieldsOf(event, suppressed) }, event.type.replaceAll(/[._]/g, ' '))
    }),
  )
  return {
    [Symbol.dispose]() {
      for (const each of listening) each[Symbol.dispose]()
    },
  }
}

function fieldsOf(event: TelemetryEvent, suppressed: number): Record<string, unknown> {
  // Each line has the pid of the process that writes it already.
  const { type, error, pid, ...facts } = event as TelemetryEvent & { readonly error?: unknown; readonly pid?: number }
  return {
    event: type,
    ...facts,
    ...(pid === undefined ? {} : { workerPid: pid }),
    ...(error === undefined ? {} : { err: error }),
    ...(suppressed > 0 ? { suppressed } : {}),
  }
}
