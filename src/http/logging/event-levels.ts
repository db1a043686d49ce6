/**
 * Which module events are worth a line, and how loud. A new event does not compile until it is decided here.
 * `null` is for what happens all the time and is counted as a metric.
 */
import type { CacheEvent } from '../../cache/events.ts'
import type { TelemetryEvent } from '../../core/telemetry.ts'
import type { PostgresEvent } from '../../postgres/events.ts'
import type { RedisEvent } from '../../redis/events.ts'
import type { ResilienceEvent } from '../../resilience/events.ts'
import type { SupervisorEvent } from '../../supervisor/events.ts'

export type EventLevel = 'debug' | 'info' | 'warn' | 'error' | null
export type EventLevels<E extends TelemetryEvent> = Readonly<Record<E['type'], EventLevel>>

export const RESILIENCE_LEVELS: EventLevels<ResilienceEvent> = {
  'retry.scheduled': 'debug',
  'retry.denied': 'debug',
  'breaker.opened': 'warn',
  'breaker.half-opened': 'info',
  'breaker.closed': 'info',
  'breaker.rejected': null,
  'bulkhead.rejected': null,
  'timeout.exceeded': 'debug',
  'work.leaked': 'warn',
  'fallback.used': 'debug',
}

export const CACHE_LEVELS: EventLevels<CacheEvent> = {
  'load.failed': 'warn',
  'stale.served': null,
  'fill.refused': null,
  'value.refused': 'warn',
  'l2.opened': 'warn',
  'l2.closed': 'info',
  'invalidation.deferred': 'debug',
  'invalidation.replayed': 'info',
}

export const POSTGRES_LEVELS: EventLevels<PostgresEvent> = {
  'connection.lost': 'warn',
  'connection.discarded': 'info',
  'pool.waited': null,
  'statement.failed': 'debug',
  'statement.cancelled': 'debug',
  'transaction.retried': 'debug',
  'commit.unknown': 'error',
  'hook.failed': 'error',
  'database.unreachable': 'error',
  'database.reached': 'info',
  'migration.waiting': 'info',
  'migration.blocked': 'warn',
  'migration.applied': 'info',
}

export const REDIS_LEVELS: EventLevels<RedisEvent> = {
  'connection.ready': 'info',
  'connection.failed': 'warn',
  'connection.closed': 'debug',
}

export const SUPERVISOR_LEVELS: EventLevels<SupervisorEvent> = {
  'arbiter.started': 'info',
  'arbiter.ready': 'info',
  'arbiter.draining': 'info',
  'arbiter.stopping': 'info',
  'arbiter.stopped': 'info',
  'arbiter.gave_up': 'error',
  'worker.started': 'info',
  'worker.booted': 'info',
  'worker.boot_failed': 'error',
  'worker.ready': 'info',
  'worker.unready': 'info',
  'worker.failing': 'error',
  'worker.drained': 'info',
  'worker.exited': 'info',
  'worker.killed': 'warn',
  'restart.delayed': 'warn',
  'signal.received': 'info',
  'signal.ignored': 'warn',
  'scale.changed': 'info',
  'page.failed': 'error',
}

/** Of `http/auth`, whose union is out of reach here, because plugins stand alone. */
export const AUTH_LEVELS: Readonly<Record<string, EventLevel>> = {
  'token.refused': 'info',
  'access.refused': 'info',
  'keys.refreshed': 'debug',
  'keys.failed': 'warn',
}
