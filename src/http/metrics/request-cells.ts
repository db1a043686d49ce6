/** The counters of one route, found by method and status without building a string: the hot path of the plugin. */
import type { CounterCell, HistogramCell } from '../../core/metric-cells.ts'
import type { Metric } from '../../core/metrics.ts'

export interface RequestMetrics {
  readonly requests: Metric<CounterCell>
  readonly duration: Metric<HistogramCell>
}

interface Cells {
  readonly requests: CounterCell
  readonly duration: HistogramCell
}

/** Others are a client's invention, and would be labels without bound. */
const KNOWN_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY'])

export class RouteCells {
  readonly #metrics: RequestMetrics
  readonly #route: string
  readonly #byMethod = new Map<string, (Cells | undefined)[]>()

  constructor(metrics: RequestMetrics, route: string) {
    this.#metrics = metrics
    this.#route = route
  }

  record(method: string, status: number, seconds: number): void {
    const cells = this.#byMethod.get(method)?.[status] ?? this.#make(method, status)
    cells.requests.inc()
    cells.duration.observe(seconds)
  }

  #make(method: string, status: number): Cells {
    const label = KNOWN_METHODS.has(method) ? method : 'other'
    const cells = {
      requests: this.#metrics.requests.child(label, this.#route, String(status)),
      duration: this.#metrics.duration.child(label, this.#route, String(status)),
    }
    if (label === 'other') return cells
    const row = this.#byMethod.get(method) ?? []
    row[status] = cells
    this.#byMethod.set(method, row)
    return cells
  }
}
