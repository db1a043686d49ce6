/** `deadlineMs` as a route option, typed; also read from `config.keelson`, for frameworks above Fastify. */
import type { RouteOptions } from 'fastify'
import { invalidOption } from '../../core/options.ts'

/** @throws KeelsonError `KEELSON_CONFIG_INVALID` naming the route, if the value is not a number of milliseconds >= 1. */
export function deadlineOf(route: RouteOptions): number | undefined {
  const config = route.config as { readonly keelson?: { readonly deadlineMs?: unknown } } | undefined
  const given: unknown = route.deadlineMs ?? config?.keelson?.deadlineMs
  if (given === undefined) return undefined
  if (typeof given === 'number' && given >= 1) return given
  throw invalidOption(`${String(route.method)} ${route.url}`, 'deadlineMs', 'must be a number of milliseconds >= 1', given)
}
