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
  const routes: RouteOptions[] = []
  app.decorate('routeTable', { getter: () => routes.flatMap(entriesOf) })
  app.addHook('onRoute', (route) => void routes.push(route))
}

/** Without the slash that Fastify adds, as a second route, to the root of a prefix. */
function entriesOf(route: RouteOptions): readonly RouteEntry[] {
  const { keelson = {} } = (route.config ?? {}) as { readonly keelson?: Partial<RouteEntry> }
  const policies = { auth: route.auth ?? keelson.auth, deadlineMs: route.deadlineMs ?? keelson.deadlineMs }
  return [route.method].flat().map((method) => ({ method, path: route.url.replace(/(?<=.)\/$/, ''), ...policies }))
}
