/** Every route with its policies, as they were compiled: for `keelson routes`, and for tests that go through them all. */
import type { FastifyInstance, RouteOptions } from 'fastify'

export interface RouteEntry {
  readonly method: string
  readonly path: string
  /** `undefined` for what no policy applies to, such as preflights. */
  readonly auth: unknown
  readonly deadlineMs: number | undefined
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly routeTable: readonly RouteEntry[]
  }
}

/** Sees only the routes that are added after it. */
export function addRouteTable(app: FastifyInstance): void {
  const routes: RegisteredRoute[] = []
  app.decorate('routeTable', { getter: () => routes.flatMap(entriesOf) })
  app.addHook('onRoute', (route) => void routes.push(route))
}

/** As Fastify hands it to `onRoute`. */
type RegisteredRoute = RouteOptions & { readonly prefix: string; readonly routePath: string }

/** Without the slash that Fastify adds, as a second route, to the root of a prefix. */
function entriesOf(route: RegisteredRoute): readonly RouteEntry[] {
  const { keelson = {} } = (route.config ?? {}) as { readonly keelson?: Partial<RouteEntry> }
  const policies = { auth: route.auth ?? keelson.auth, deadlineMs: route.deadlineMs ?? keelson.deadlineMs }
  const path = route.prefix && route.routePath === '/' ? route.url.slice(0, -1) : route.url
  return [route.method].flat().map((method) => ({ method, path, ...policies }))
}
