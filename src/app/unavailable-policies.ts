/**
 * Policies that are planned and not there yet, and names that no policy has: refused at boot, all at once.
 * A limit that somebody wrote down and nobody keeps is worse than none.
 */
import type { FastifyInstance, RouteOptions } from 'fastify'
import { KeelsonError } from '../core/errors.ts'

const NOT_YET = ['idempotencyKey', 'rateLimit', 'cache', 'priority'] as const

/** What may stand in a route's `config.keelson`. */
const KNOWN: ReadonlySet<string> = new Set(['auth', 'deadlineMs', 'log', 'produces'])

/** Sees only the routes that are added after it; looks when the app is made ready, when scopes have had their say. */
export function refuseUnavailablePolicies(app: FastifyInstance): void {
  const routes: RouteOptions[] = []
  app.addHook('onRoute', (route) => void routes.push(route))
  app.addHook('onReady', async function demandAvailablePolicies() {
    const problems = new Set(routes.flatMap(problemsOf))
    // Of a GET route Fastify makes one for HEAD, and of a prefix's root one with a slash: one line is enough.
    const listed = [...problems].filter((one) => !(one.startsWith('HEAD ') && problems.has(one.replace('HEAD', 'GET'))))
    if (listed.length > 0) throw refused(listed)
  })
}

function problemsOf(route: RouteOptions): readonly string[] {
  const { keelson = {} } = (route.config ?? {}) as { readonly keelson?: object }
  const named = Object.keys(keelson)
  const notYet = NOT_YET.filter((name) => (route as { readonly [Name in typeof name]?: unknown })[name] !== undefined)
  const notYetNamed = NOT_YET.filter((name) => named.includes(name))
  const unknown = named.filter((name) => !KNOWN.has(name) && !notYetNamed.some((one) => one === name))
  const where = `${[route.method].flat().join(',')} ${route.url.replace(/(?<=.)\/$/, '')}`
  return [
    ...notYet.map((name) => `${where}   \`${name}\` is not available yet`),
    ...notYetNamed.map((name) => `${where}   \`config.keelson.${name}\` is not available yet`),
    ...unknown.map((name) => `${where}   \`config.keelson.${name}\` is not a policy (there are ${[...KNOWN].join(', ')})`),
  ]
}

function refused(problems: readonly string[]): KeelsonError<'KEELSON_POLICY_REFUSED'> {
  const message = `these routes ask for what is not there:\n${problems.map((problem) => `  ${problem}`).join('\n')}`
  return new KeelsonError('KEELSON_POLICY_REFUSED', 'invalid', message, { details: { problems } })
}
