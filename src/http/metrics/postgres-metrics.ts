/** Databases as metrics: the pool, the waiting for it, and what became of statements. */
import type { MetricsTable } from '../../core/metrics.ts'
import { databases } from '../../postgres/databases.ts'
import { POSTGRES_CHANNEL, type PostgresEvent } from '../../postgres/events.ts'
import { countEvents } from './counting.ts'

export function postgresMetrics(table: MetricsTable): readonly Disposable[] {
  return [eventMetrics(table), readPools(table), readCounters(table)]
}

function eventMetrics(table: MetricsTable): Disposable {
  const counter = (name: string, help: string, ...more: readonly string[]) =>
    table.counter({ name, help, labels: ['database', ...more] })
  const lost = counter('postgres_connections_lost_total', 'Idle connections that died.')
  const discarded = counter('postgres_connections_discarded_total', 'Connections closed instead of reused.', 'reason')
  const waits = counter('postgres_pool_waits_total', 'Callers that had to wait for a connection, and got one.')
  const unknown = counter('postgres_commits_unknown_total', 'Commits whose answer never came.')
  const hooks = counter('postgres_hooks_failed_total', 'Functions that threw after their commit.')
  const unreachable = counter('postgres_unreachable_total', 'Times that the database was found unreachable.')

  return countEvents<PostgresEvent>(POSTGRES_CHANNEL, {
    'connection.lost': (event) => lost.child(event.source).inc(),
    'connection.discarded': (event) => discarded.child(event.source, event.reason).inc(),
    'pool.waited': (event) => waits.child(event.source).inc(),
    'commit.unknown': (event) => unknown.child(event.source).inc(),
    'hook.failed': (event) => hooks.child(event.source).inc(),
    'database.unreachable': (event) => unreachable.child(event.source).inc(),
    // Read from the snapshot below.
    'statement.failed': null,
    'statement.cancelled': null,
    'transaction.retried': null,
    // For the log.
    'database.reached': null,
    'migration.waiting': null,
    'migration.blocked': null,
    'migration.applied': null,
  })
}

function readPools(table: MetricsTable): Disposable {
  const gauge = (name: string, help: string, ...more: readonly string[]) =>
    table.gauge({ name, help, labels: ['database', ...more], aggregate: 'sum' })
  const max = gauge('postgres_pool_max_connections', 'Connections that the pool may open.')
  const connections = gauge('postgres_pool_connections', 'Connections open or being opened.', 'state')
  const waiting = gauge('postgres_pool_waiting', 'Callers waiting for a connection.')

  return table.onCollect(function readAll() {
    for (const metric of [max, connections, waiting]) metric.clear()
    for (const { name, pool } of databases.snapshots()) {
      max.child(name).inc(pool.max)
      connections.child(name, 'idle').inc(pool.idle)
      connections.child(name, 'busy').inc(pool.total - pool.idle)
      waiting.child(name).inc(pool.waiting)
    }
  })
}

function readCounters(table: MetricsTable): Disposable {
  const counter = (name: string, help: string, ...more: readonly string[]) =>
    table.counter({ name, help, labels: ['database', ...more] })
  const statements = counter('postgres_statements_total', 'Statements sent.')
  const cancelled = counter('postgres_statements_cancelled_total', 'Statements cancelled because their scope ended.')
  const errors = counter('postgres_errors_total', 'Statements that failed.', 'kind')
  const retried = counter('postgres_transactions_retried_total', 'Transactions tried again after a conflict.')
  const acquired = counter('postgres_connections_acquired_total', 'Connections taken from the pool.')
  const waited = counter('postgres_pool_wait_seconds_total', 'Time spent waiting for a connection.')

  return table.onCollect(function readAll() {
    for (const metric of [statements, cancelled, errors, retried, acquired, waited]) metric.clear()
    for (const database of databases.snapshots()) {
      const { name, acquireWait } = database
      statements.child(name).inc(database.statements)
      cancelled.child(name).inc(database.cancellations)
      retried.child(name).inc(database.transactionRetries)
      acquired.child(name).inc(acquireWait.count)
      waited.child(name).inc(acquireWait.sumMs / 1_000)
      for (const [kind, count] of Object.entries(database.errors)) errors.child(name, kind).inc(count)
    }
  })
}
