/** `keelson routes`: method, path, who may call it, and the other policies. */
import type { RouteEntry } from '../../app/index.ts'
import type { Command } from '../command.ts'
import { inspect } from '../inspect.ts'
import { table } from '../table.ts'

export const routes: Command = {
  usage: 'routes [service file]',
  about: 'Lists the routes of the service with their policies: who may call them, and within which time.',
  options: {},
  optionHelp: {},
  async run(invocation) {
    const rows = await inspect(invocation, (app) =>
      listed(app.routeTable).map(({ method, path, auth, deadlineMs }) => [
        method,
        path,
        authText(auth),
        deadlineMs === undefined ? '' : `deadlineMs ${deadlineMs}`,
      ]),
    )
    console.log(table([['METHOD', 'PATH', 'AUTH', 'POLICIES'], ...rows]))
    return 0
  },
}

/** Without the HEAD that Fastify makes of every GET, and once where a route answers with a slash as well. */
function listed(entries: readonly RouteEntry[]): readonly RouteEntry[] {
  const seen = new Map<string, RouteEntry>()
  const gets = new Set(entries.filter(({ method }) => method === 'GET').map(({ path }) => path))
  for (const entry of entries) {
    if (!(entry.method === 'HEAD' && gets.has(entry.path))) seen.set(`${entry.method} ${entry.path}`, entry)
  }
  return [...seen.values()]
}

function authText(auth: unknown): string {
  if (auth === false) return 'public'
  if (typeof auth === 'object' && auth !== null) return (auth as { scopes: readonly string[] }).scopes.join(' ')
  return auth === 'any' ? 'any token' : '–'
}
