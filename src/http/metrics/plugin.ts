/**
 * Counts requests and their duration per method, route template and status, however they end, and carries the app's
 * metrics table. Measured: looking a labelled series up on each request costs a hundred times what a kept cell does.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { systemClock, type Clock } from '../../core/clock.ts'
import { createMetrics, LATENCY_BUCKETS, type MetricsTable } from '../../core/metrics.ts'
import { resolveOptions } from '../../core/options.ts'
import { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from '../../core/prometheus.ts'
import { onResponseEnd } from '../../core/response-end.ts'
import type { RequestFailure } from '../errors/errors.ts'
import { moduleMetrics } from './mapping.ts'
import { processMetrics } from './process.ts'
import { promClientSource, type PromClientRegistry } from './prom-client.ts'
import { RouteCells } from './request-cells.ts'

export interface MetricsOptions {
  /** Where everything is counted. Default: a table of the app's own. */
  readonly table: MetricsTable | undefined
  /** Path at which the app itself answers a scrape, for an app without an admin listener. Default: none. */
  readonly expose: string | undefined
  /** A prom-client registry whose metrics are shown beside ours; ours win where names meet. Default: none. */
  readonly registry: PromClientRegistry | undefined
  /** Upper bounds of `http_request_duration_seconds`. Default: 1 ms to 10 s in 13 steps. */
  readonly buckets: readonly number[]
  /** Default: the system's. */
  readonly clock: Clock
}

export const METRICS_DEFAULTS: MetricsOptions = {
  table: undefined,
  expose: undefined,
  registry: undefined,
  buckets: LATENCY_BUCKETS,
  clock: systemClock,
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Add your own with `app.metrics.counter(…)`, `gauge(…)`, `histogram(…)`. */
    readonly metrics: MetricsTable
  }
}

/** What nginx calls a client that left before its answer. */
const CLIENT_CLOSED_REQUEST = 499
const UNMATCHED = '<unmatched>'

async function metricsPlugin(app: FastifyInstance, given: Partial<MetricsOptions>): Promise<void> {
  const { table = createMetrics(), expose, registry, buckets, clock } = resolveOptions('metrics', METRICS_DEFAULTS, given, {})
  const labels = ['method', 'route', 'status']
  const requests = table.counter({ name: 'http_requests_total', help: 'Requests that are over, one way or another.', labels })
  const duration = table.histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the request line to the end of the answer.',
    labels,
    buckets,
  })
  const inFlight = table.gauge({ name: 'http_requests_in_flight', help: 'Requests being worked on.', aggregate: 'sum' }).child()

  const metrics = { requests, duration }
  const unmatched = new RouteCells(metrics, UNMATCHED)
  // On the route's own config, which Fastify hands to each request; a symbol of this registration meets no other.
  const cells = Symbol('keelson.cells')

  function cellsOf(request: FastifyRequest): RouteCells {
    const { config, url } = request.routeOptions
    if (url === undefined) return unmatched
    const kept = config as { [cells]?: RouteCells }
    return (kept[cells] ??= new RouteCells(metrics, url))
  }

  app.decorate('metrics', table)
  app.addHook('onRequest', function startMeasuring(request, reply, done) {
    const startedAt = clock.now()
    inFlight.inc()
    // Not `onResponse`, which Fastify runs only for an answer that was sent to its end.
    onResponseEnd(reply.raw, function record(completed) {
      inFlight.dec()
      const status = completed ? reply.statusCode : brokenOffStatus(request)
      cellsOf(request).record(request.method, status, (clock.now() - startedAt) / 1_000)
    })
    done()
  })

  const parts = [processMetrics(table), moduleMetrics(table)]
  if (registry) parts.push(table.include(promClientSource(registry)))
  app.addHook('onClose', async () => {
    for (const part of parts) part[Symbol.dispose]()
  })
  if (expose !== undefined) exposeAt(app, expose, table)
}

/** `http/errors`, if it is there, knows an answer that we broke off ourselves from one that nobody waited for. */
function brokenOffStatus({ failure }: { readonly failure?: RequestFailure | null }): number {
  return failure?.status ?? CLIENT_CLOSED_REQUEST
}

function exposeAt(app: FastifyInstance, path: string, table: MetricsTable): void {
  app.get(path, { config: { keelson: { log: false } }, schema: { hide: true } as object }, async (_request, reply) => {
    reply.header('content-type', PROMETHEUS_CONTENT_TYPE)
    return renderPrometheus(await table.collect())
  })
}

/** Fastify plugin: `app.metrics`, and the usual metrics of an HTTP service. Register it before whatever may refuse a request. */
export const metrics: typeof metricsPlugin = fp(metricsPlugin, { name: 'keelson-http-metrics', fastify: '5.x' })
