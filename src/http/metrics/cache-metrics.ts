/** Caches as metrics: where reads were answered, what loading costs, what is held. */
import type { MetricsTable } from '../../core/metrics.ts'
import { CACHE_CHANNEL, type CacheEvent } from '../../cache/events.ts'
import { caches } from '../../cache/snapshot.ts'
import { countEvents } from './counting.ts'

export function cacheMetrics(table: MetricsTable): readonly Disposable[] {
  return [eventMetrics(table), readCounters(table), readState(table)]
}

function eventMetrics(table: MetricsTable): Disposable {
  const counter = (name: string, help: string, ...more: readonly string[]) =>
    table.counter({ name, help, labels: ['cache', ...more] })
  const stale = counter('cache_stale_served_total', 'Reads answered with an old value.', 'reason')
  const values = counter('cache_values_refused_total', 'Values that a level cannot keep.', 'level', 'reason')
  const opened = counter('cache_l2_opened_total', 'Times that the second level failed and was left alone.')
  const replayed = counter('cache_invalidations_replayed_total', 'Invalidations told to the second level later.')

  return countEvents<CacheEvent>(CACHE_CHANNEL, {
    'stale.served': (event) => stale.child(event.source, event.reason).inc(),
    'value.refused': (event) => values.child(event.source, event.level, event.reason).inc(),
    'l2.opened': (event) => opened.child(event.source).inc(),
    'invalidation.replayed': (event) => replayed.child(event.source).inc(event.replayed),
    // Read from the snapshot below.
    'load.failed': null,
    'fill.refused': null,
    'l2.closed': null,
    'invalidation.deferred': null,
  })
}

function readCounters(table: MetricsTable): Disposable {
  const counter = (name: string, help: string, ...more: readonly string[]) =>
    table.counter({ name, help, labels: ['cache', ...more] })
  const hits = counter('cache_hits_total', 'Reads answered with a fresh value.', 'level')
  const misses = counter('cache_misses_total', 'Reads that found nothing fresh.')
  const loads = counter('cache_loads_total', 'Calls to a loader.')
  const failures = counter('cache_load_failures_total', 'Loads that failed or took too long.')
  const abandoned = counter('cache_loads_abandoned_total', 'Loads given up because nobody waited any more.')
  const fills = counter('cache_fills_refused_total', 'Loaded values not stored, because they were invalidated meanwhile.')
  const evictions = counter('cache_evictions_total', 'Entries that had to make room.')
  const invalidations = counter('cache_invalidations_total', 'Invalidations asked for, and heard from others.')

  return table.onCollect(function readAll() {
    for (const metric of [hits, misses, loads, failures, abandoned, fills, evictions, invalidations]) metric.clear()
    for (const cache of caches.snapshots()) {
      hits.child(cache.name, 'l1').inc(cache.l1Hits)
      hits.child(cache.name, 'l2').inc(cache.l2Hits)
      misses.child(cache.name).inc(cache.misses)
      loads.child(cache.name).inc(cache.loads)
      failures.child(cache.name).inc(cache.loadFailures)
      abandoned.child(cache.name).inc(cache.loadsAbandoned)
      fills.child(cache.name).inc(cache.fillsRefused)
      evictions.child(cache.name).inc(cache.evictions)
      invalidations.child(cache.name).inc(cache.invalidations)
    }
  })
}

function readState(table: MetricsTable): Disposable {
  const gauge = (name: string, help: string) => table.gauge({ name, help, labels: ['cache'], aggregate: 'sum' })
  const entries = gauge('cache_entries', 'Entries held in memory.')
  const bytes = gauge('cache_size_bytes', 'Estimated size of those entries.')
  const loading = gauge('cache_loads_in_flight', 'Loads running.')
  const pending = gauge('cache_invalidations_pending', 'Keys and tags that the second level has yet to be told of.')
  const open = gauge('cache_l2_open', 'Caches whose second level is left alone because it fails.')

  return table.onCollect(function readAll() {
    for (const metric of [entries, bytes, loading, pending, open]) metric.clear()
    for (const cache of caches.snapshots()) {
      entries.child(cache.name).inc(cache.entries)
      bytes.child(cache.name).inc(cache.bytes)
      loading.child(cache.name).inc(cache.loadsInFlight)
      pending.child(cache.name).inc(cache.pendingInvalidations)
      if (cache.l2 !== 'none') open.child(cache.name).inc(cache.l2 === 'open' ? 1 : 0)
    }
  })
}
