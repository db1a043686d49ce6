/**
 * What the modules report, as metrics: this file and its `…-metrics.ts` neighbours are the only places that know both.
 * Events are counted as they come; what instances know themselves is read from them at the scrape.
 */
import { destinations } from '../../core/log-destinations.ts'
import type { MetricsTable } from '../../core/metrics.ts'
import { subscribe } from '../../core/telemetry.ts'
import { redisConnections } from '../../redis/connect.ts'
import { REDIS_CHANNEL, type RedisEvent } from '../../redis/events.ts'
import { HTTP_CHANNEL, type HttpEvent } from '../errors/events.ts'
import { cacheMetrics } from './cache-metrics.ts'
import { countEvents } from './counting.ts'
import { postgresMetrics } from './postgres-metrics.ts'
import { resilienceMetrics } from './resilience-metrics.ts'

/** Adds the metrics of all modules to `table`; disposing ends the counting. */
export function moduleMetrics(table: MetricsTable): Disposable {
  const parts = [
    ...resilienceMetrics(table),
    ...cacheMetrics(table),
    ...postgresMetrics(table),
    ...redisMetrics(table),
    refusalMetrics(table),
    authMetrics(table),
    logMetrics(table),
  ]
  return {
    [Symbol.dispose]() {
      for (const part of parts) part[Symbol.dispose]()
    },
  }
}

function redisMetrics(table: MetricsTable): readonly Disposable[] {
  const labels = ['connection']
  const connected = table.counter({ name: 'redis_connected_total', help: 'Times that a connection was made.', labels })
  const failures = table.counter({ name: 'redis_failures_total', help: 'Connections lost, or not made.', labels })
  const ready = table.gauge({ name: 'redis_ready', help: 'Whether commands are answered.', labels })
  const counting = countEvents<RedisEvent>(REDIS_CHANNEL, {
    'connection.ready': ({ source }) => connected.child(source).inc(),
    // Read from the snapshot below.
    'connection.failed': null,
    'connection.closed': null,
  })
  const reading = table.onCollect(function readAll() {
    ready.clear()
    failures.clear()
    for (const connection of redisConnections.snapshots()) {
      ready.child(connection.name).set(connection.ready ? 1 : 0)
      failures.child(connection.name).inc(connection.failures)
    }
  })
  return [counting, reading]
}

function refusalMetrics(table: MetricsTable): Disposable {
  const refused = table.counter({
    name: 'http_requests_refused_total',
    help: 'Requests that parser or router refused; not in http_requests_total.',
    labels: ['by', 'status', 'code'],
  })
  return countEvents<HttpEvent>(HTTP_CHANNEL, {
    'request.refused': ({ source, status, code }) => refused.child(source, String(status), code).inc(),
  })
}

/** The part that is read of what `http/auth` reports; plugins stand alone, so its own union is out of reach here. */
interface AuthRefusal {
  readonly type: string
  readonly source: string
  readonly reason?: string
}

function authMetrics(table: MetricsTable): Disposable {
  const refused = table.counter({
    name: 'auth_refusals_total',
    help: 'Tokens and accesses refused.',
    labels: ['reason'],
    maxSeries: 50,
  })
  return subscribe<AuthRefusal>('keelson:auth', function countRefusal({ type, reason = 'unknown' }) {
    if (type === 'token.refused') refused.child(reason).inc()
    if (type === 'access.refused') refused.child('scope').inc()
  })
}

function logMetrics(table: MetricsTable): Disposable {
  const labels = ['destination']
  const accepted = table.counter({ name: 'log_lines_total', help: 'Log lines accepted for writing.', labels })
  const dropped = table.counter({ name: 'log_dropped_total', help: 'Log lines lost because they could not be written.', labels })
  const buffered = table.gauge({ name: 'log_buffered_bytes', help: 'Log lines waiting to be written.', labels, aggregate: 'sum' })
  return table.onCollect(function readAll() {
    for (const metric of [accepted, dropped, buffered]) metric.clear()
    for (const destination of destinations.snapshots()) {
      accepted.child(destination.name).inc(destination.acceptedLines)
      dropped.child(destination.name).inc(destination.droppedLines)
      buffered.child(destination.name).inc(destination.bufferedBytes)
    }
  })
}
