/** `auth` as a route option, typed; also read from `config.keelson`, for frameworks above Fastify. */
import type { RouteOptions } from 'fastify'
import { isDeepStrictEqual } from 'node:util'
import { invalidOption } from '../../core/options.ts'
import { checkPolicy, type AuthPolicy } from './policy.ts'

/** @returns what the route itself says. @throws KeelsonError `KEELSON_CONFIG_INVALID` naming the route. */
export function authOf(route: RouteOptions): AuthPolicy | undefined {
  const config = route.config as { readonly keelson?: { readonly auth?: unknown } } | undefined
  const [given, other] = [route.auth, config?.keelson?.auth].filter((value: unknown) => value !== undefined)
  if (given === undefined) return undefined
  if (other !== undefined && !isDeepStrictEqual(given, other)) {
    throw invalidOption(routeName(route), 'auth', 'must not say two things, here and in `config.keelson`', other)
  }
  return checkPolicy(routeName(route), given)
}

/** As in `GET /users/:id`. */
export function routeName({ method, url }: Pick<RouteOptions, 'method' | 'url'>): string {
  return `${[method].flat().join(',')} ${url}`
}
