/** What the process itself costs, under the names that dashboards know (`process_*`, `nodejs_*`). */
import { readdirSync, readFileSync } from 'node:fs'
import { constants, monitorEventLoopDelay, performance, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks'
import type { Metric, MetricsTable } from '../../core/metrics.ts'
import type { HistogramCell } from '../../core/metric-cells.ts'

/** How often the loop's delay is sampled, in milliseconds; the sampler's own wait is no delay, and taken off. */
const RESOLUTION_MS = 10
const GC_BUCKETS = [0.001, 0.01, 0.1, 1, 2, 5]
/** See https://nodejs.org/api/perf_hooks.html#garbage-collection-gc-details */
const GC_KINDS: ReadonlyMap<number | undefined, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weakcb'],
])

/** Adds the metrics of this process to `table`; disposing stops the measuring. */
export function processMetrics(table: MetricsTable): Disposable {
  const parts = [cpuAndMemory(table), descriptors(table), eventLoop(table), garbageCollection(table)]
  table
    .gauge({ name: 'process_start_time_seconds', help: 'Start of the process, in seconds since the Unix epoch.' })
    .child()
    .set(performance.timeOrigin / 1_000)
  table
    .gauge({ name: 'nodejs_version_info', help: 'Version of Node.js.', labels: ['version'] })
    .child(process.version)
    .set(1)
  return {
    [Symbol.dispose]() {
      for (const part of parts) part?.[Symbol.dispose]()
    },
  }
}

function cpuAndMemory(table: MetricsTable): Disposable {
  const counter = (name: string, help: string) => table.counter({ name, help }).child()
  const gauge = (name: string, help: string) => table.gauge({ name, help }).child()
  const user = counter('process_cpu_user_seconds_total', 'User CPU time spent.')
  const system = counter('process_cpu_system_seconds_total', 'System CPU time spent.')
  const cpu = counter('process_cpu_seconds_total', 'User and system CPU time spent.')
  const resident = gauge('process_resident_memory_bytes', 'Resident memory.')
  const heapTotal = gauge('nodejs_heap_size_total_bytes', 'Heap that V8 has taken.')
  const heapUsed = gauge('nodejs_heap_size_used_bytes', 'Heap in use.')
  const external = gauge('nodejs_external_memory_bytes', 'Memory of objects outside of the heap.')
  return table.onCollect(function readUsage() {
    const used = process.cpuUsage()
    user.set(used.user / 1e6)
    system.set(used.system / 1e6)
    cpu.set((used.user + used.system) / 1e6)
    const memory = process.memoryUsage()
    resident.set(memory.rss)
    heapTotal.set(memory.heapTotal)
    heapUsed.set(memory.heapUsed)
    external.set(memory.external)
  })
}

/** Only where the system has `/proc`. */
function descriptors(table: MetricsTable): Disposable | undefined {
  const limit = descriptorLimit()
  if (limit === undefined) return undefined
  table.gauge({ name: 'process_max_fds', help: 'File descriptors that the process may open.' }).child().set(limit)
  const open = table.gauge({ name: 'process_open_fds', help: 'File descriptors open.' }).child()
  return table.onCollect(() => open.set(readdirSync('/proc/self/fd').length))
}

function descriptorLimit(): number | undefined {
  try {
    const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === 'unlimited' ? Infinity : Number(soft ?? Number.NaN) || undefined
  } catch {
    return undefined
  }
}

function eventLoop(table: MetricsTable): Disposable {
  const gauge = (name: string, help: string) => table.gauge({ name, help }).child()
  const p50 = gauge('nodejs_eventloop_lag_p50_seconds', 'Median delay of the event loop since the last scrape.')
  const p99 = gauge('nodejs_eventloop_lag_p99_seconds', '99th percentile of the delay of the event loop since the last scrape.')
  const max = gauge('nodejs_eventloop_lag_max_seconds', 'Largest delay of the event loop since the last scrape.')
  const utilization = gauge(
    'nodejs_eventloop_utilization_ratio',
    'Share of the time since the last scrape that the event loop was busy.',
  )
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  let before = performance.eventLoopUtilization()
  const seconds = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1e3)
  const collecting = table.onCollect(function readLoop() {
    const now = performance.eventLoopUtilization()
    utilization.set(performance.eventLoopUtilization(now, before).utilization)
    before = now
    p50.set(seconds(delay.percentile(50)))
    p99.set(seconds(delay.percentile(99)))
    max.set(seconds(delay.max))
    delay.reset()
  })
  return {
    [Symbol.dispose]() {
      collecting[Symbol.dispose]()
      delay.disable()
    },
  }
}

function garbageCollection(table: MetricsTable): Disposable {
  const duration: Metric<HistogramCell> = table.histogram({
    name: 'nodejs_gc_duration_seconds',
    help: 'Time spent in garbage collection.',
    labels: ['kind'],
    buckets: GC_BUCKETS,
  })
  const observer = new PerformanceObserver(function readCollections(list) {
    for (const entry of list.getEntries()) duration.child(kindOf(entry)).observe(entry.duration / 1_000)
  })
  observer.observe({ entryTypes: ['gc'] })
  return { [Symbol.dispose]: () => observer.disconnect() }
}

function kindOf(entry: PerformanceEntry): string {
  const { detail } = entry as { readonly detail?: { readonly kind?: number } }
  return GC_KINDS.get(detail?.kind) ?? 'other'
}
