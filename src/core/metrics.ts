/**
 * Counters, gauges and histograms for the hot path: a cell is looked up by its label values once and kept, after which
 * each use is an addition. Rendered only when somebody asks. The number of series is bounded, because a label that
 * follows its input is how a service runs out of memory.
 */
import { CounterCell, GaugeCell, HistogramCell, type Cell } from './metric-cells.ts'
import type { Aggregation, MetricSnapshot, MetricsSnapshot, MetricType } from './metrics-snapshot.ts'
import { integerAtLeast, invalidOption, nonEmptyString, oneOf, resolveOptions, type Check } from './options.ts'

export interface MetricOptions {
  /** As Prometheus knows it: a base unit at the end (`_seconds`, `_bytes`), and `_total` for a counter. */
  readonly name: string
  /** One sentence for whoever reads the scrape. */
  readonly help: string
  /** Names of the labels. Default: none. */
  readonly labels?: readonly string[]
  /** Label combinations kept; what comes later is counted under `other`. Default: 1_000. */
  readonly maxSeries?: number
}

export interface GaugeOptions extends MetricOptions {
  /** How several workers become one. Default: `'worker'`, one series for each. */
  readonly aggregate?: Aggregation
}

export interface HistogramOptions extends MetricOptions {
  /** Upper bounds of the buckets, ascending. */
  readonly buckets: readonly number[]
}

/** One metric; `child` finds or makes the cell of one combination of label values. Keep the cell where it is used often. */
export interface Metric<C extends Cell> {
  child(...labelValues: readonly string[]): C
  /** Forgets all series, cells in keeping too: for a metric that is read anew at each scrape from whatever lives then. */
  clear(): void
}

export interface MetricsTable {
  /**
   * Asking twice for the same metric gives the same one.
   * @throws KeelsonError `KEELSON_CONFIG_INVALID` for a bad name or label, or a name that is taken by another kind.
   */
  counter(options: MetricOptions): Metric<CounterCell>
  gauge(options: GaugeOptions): Metric<GaugeCell>
  histogram(options: HistogramOptions): Metric<HistogramCell>
  /** Calls `fn` before each snapshot, to set what is read rather than counted, until the result is disposed. */
  onCollect(fn: () => void): Disposable
  /** Metrics kept by somebody else, e.g. a prom-client registry, for `collect`; a name that the table has wins. */
  include(source: () => MetricSource): Disposable
  /** All values now, and beside them what `included` has answered, if that is given. */
  snapshot(included?: readonly MetricSnapshot[]): MetricsSnapshot
  /** What the included sources say now; one that fails is left out. Never rejects. */
  included(): Promise<readonly MetricSnapshot[]>
  /** All values now, included sources too; one that fails is left out. */
  collect(): Promise<MetricsSnapshot>
}

export type MetricSource = readonly MetricSnapshot[] | Promise<readonly MetricSnapshot[]>

/** Where latencies of a service live, in seconds: from a cache hit to a deadline. */
export const LATENCY_BUCKETS: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

const OVERFLOW = 'other'
const RESERVED_LABELS: ReadonlySet<string> = new Set(['le', 'quantile', 'worker'])

interface Shape {
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  readonly maxSeries: number
  readonly aggregate: Aggregation
  readonly buckets: readonly number[]
}

const SHAPE_DEFAULTS: Shape = { name: '', help: '', labels: [], maxSeries: 1_000, aggregate: 'worker', buckets: [] }

export function createMetrics(): MetricsTable {
  const families = new Map<string, Family<Cell>>()
  const collectors = new Set<() => void>()
  const sources = new Set<() => MetricSource>()
  const folded = register('counter', () => new CounterCell(), {
    name: 'metrics_series_folded_total',
    help: 'Lookups of label values beyond the limit of a metric, counted under "other".',
    labels: ['metric'],
  })

  function register<C extends Cell>(type: MetricType, create: () => C, given: MetricOptions): Family<C> {
    const shape = checkedShape(type, given)
    const existing = families.get(shape.name)
    if (existing && !existing.matches(type, shape)) {
      throw invalidOption('metrics', 'name', 'must not be taken by a metric of another kind', shape.name)
    }
    // Same kind, so the cells are of the same class.
    if (existing) return existing as Family<C>
    const family = new Family(type, shape, create, () => folded.child(shape.name).inc())
    families.set(shape.name, family)
    return family
  }

  function snapshot(foreign: readonly MetricSnapshot[] = []): MetricsSnapshot {
    for (const fn of collectors) fn()
    const own = [...families.values()].map((family) => family.snapshot())
    return { metrics: foreign.length === 0 ? own : withoutRepeats([...own, ...foreign]) }
  }

  async function included(): Promise<readonly MetricSnapshot[]> {
    const answers = await Promise.allSettled([...sources].map(async (source) => source()))
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  }

  return {
    counter: (options) => register('counter', () => new CounterCell(), options),
    gauge: (options) => register('gauge', () => new GaugeCell(), options),
    histogram: (options) => register('histogram', () => new HistogramCell(options.buckets), options),
    onCollect: (fn) => listed(collectors, fn),
    include: (source) => listed(sources, source),
    snapshot,
    included,
    collect: async () => snapshot(await included()),
  }
}

/** All series of one metric. */
class Family<C extends Cell> implements Metric<C> {
  readonly #type: MetricType
  readonly #shape: Shape
  readonly #create: () => C
  readonly #onFolded: () => void
  readonly #series = new Map<string, { readonly labels: readonly string[]; readonly cell: C }>()

  constructor(type: MetricType, shape: Shape, create: () => C, onFolded: () => void) {
    this.#type = type
    this.#shape = shape
    this.#create = create
    this.#onFolded = onFolded
    // A metric without labels is there from the start, as 0: its absence would read as "no data".
    if (shape.labels.length === 0) this.child()
  }

  child(...labels: readonly string[]): C {
    if (labels.length !== this.#shape.labels.length) {
      throw new TypeError(`${this.#shape.name} takes ${this.#shape.labels.length} label values, got ${labels.length}`)
    }
    const found = this.#series.get(labels.join('\0'))
    if (found) return found.cell
    if (this.#series.size < this.#shape.maxSeries) return this.#add(labels)
    this.#onFolded()
    const overflow = labels.map(() => OVERFLOW)
    return this.#series.get(overflow.join('\0'))?.cell ?? this.#add(overflow)
  }

  clear(): void {
    this.#series.clear()
  }

  #add(labels: readonly string[]): C {
    const cell = this.#create()
    this.#series.set(labels.join('\0'), { labels, cell })
    return cell
  }

  matches(type: MetricType, { labels, buckets }: Shape): boolean {
    const own = this.#shape
    return type === this.#type && labels.join() === own.labels.join() && buckets.join() === own.buckets.join()
  }

  snapshot(): MetricSnapshot {
    const { name, help, labels, aggregate, buckets } = this.#shape
    const series = [...this.#series.values()].map((entry) => ({ labels: entry.labels, ...entry.cell.read() }))
    const base = { name, help, labels, type: this.#type, aggregate, series }
    return this.#type === 'histogram' ? { ...base, bounds: buckets } : base
  }
}

function checkedShape(type: MetricType, given: MetricOptions): Shape {
  return resolveOptions('metrics', SHAPE_DEFAULTS, given, {
    name: nameFor(type),
    help: nonEmptyString,
    labels: labelNames,
    maxSeries: integerAtLeast(1),
    aggregate: oneOf('worker', 'sum', 'max'),
    buckets: type === 'histogram' ? ascending : oneOf(SHAPE_DEFAULTS.buckets),
  })
}

function nameFor(type: MetricType): Check {
  return (value) => {
    if (typeof value !== 'string' || !/^[a-z][a-z0-9_]*$/.test(value)) return 'must be lower-case letters, digits and _'
    if (value.endsWith('_total') !== (type === 'counter')) return `must ${type === 'counter' ? '' : 'not '}end with _total`
    return /_(?:bucket|sum|count)$/.test(value) ? 'must not end with _bucket, _sum or _count' : undefined
  }
}

const labelNames: Check = (value) => {
  const valid = Array.isArray(value) && value.every((name) => /^[a-z][a-zA-Z0-9_]*$/.test(String(name)))
  if (!valid) return 'must be a list of names made of letters, digits and _'
  if (new Set(value).size !== value.length) return 'must not repeat a name'
  return value.some((name) => RESERVED_LABELS.has(name)) ? 'must not contain le, quantile or worker' : undefined
}

const ascending: Check = (value) => {
  const valid =
    Array.isArray(value) && value.length > 0 && value.every((bound, i) => Number.isFinite(bound) && !(bound <= value[i - 1]))
  return valid ? undefined : 'must be ascending finite numbers, at least one'
}

/** The first of each name, in order. */
function withoutRepeats(metrics: readonly MetricSnapshot[]): MetricSnapshot[] {
  const byName = new Map<string, MetricSnapshot>()
  for (const metric of metrics) if (!byName.has(metric.name)) byName.set(metric.name, metric)
  return [...byName.values()]
}

function listed<T>(set: Set<T>, item: T): Disposable {
  set.add(item)
  return { [Symbol.dispose]: () => void set.delete(item) }
}
