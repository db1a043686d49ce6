/** `deadlineMs` as a route option; also read from `config.keelson`, for frameworks above Fastify. */
import type { RouteOptions } from 'fastify'
import { invalidOption } from '../../core/options.ts'

/** @throws KeelsonError `KEELSON_CONFIG_INVALID` naming the route, if the value is not a number of milliseconds >= 1. */
export function deadlineOf(route: RouteOptions): number | undefined {
  const config = route.config as { readonly keelson?: { readonly deadlineMs?: unknown } } | undefined
  const [given, other = given] = [route.deadlineMs, config?.keelson?.deadlineMs].filter((value: unknown) => value !== undefined)
  if (given === undefined) return undefined
  const name = `${[route.method].flat().join(',')} ${route.url}`
  if (!Object.is(other, given))
    throw invalidOption(name, 'deadlineMs', 'must not say two things, here and in `config.keelson`', other)
  if (typeof given === 'number' && given >= 1) return given
  throw invalidOption(name, 'deadlineMs', 'must be a number of milliseconds >= 1', given)
}
