/** What a developer sees once the service is ready: where everything is, a token, and a line that works when pasted. */
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import type { Settings } from '../app/config/index.ts'
import { developmentToken } from './development.ts'
import { scopesOf } from './inspect.ts'
import { workerText } from './worker-text.ts'

/** How a person reaches this command line: in this repository it is not on the PATH. */
const COMMAND = process.env['npm_package_name'] === 'keelson' ? 'npm run keelson --' : 'npx keelson'

export interface BannerFacts {
  /** As a person would type it. */
  readonly servicePath: string
  readonly settings: Settings
  readonly service: AddressInfo
  readonly admin: AddressInfo
  readonly workers: number
  readonly startupMs: number
  /** E.g. `embedded 18.4, data in .keelson/postgres`. */
  readonly database: string
  readonly redis: string
}

interface Described {
  readonly info: { readonly title: string; readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

export async function banner(facts: BannerFacts): Promise<string> {
  const service = urlOf(facts.service)
  const admin = urlOf(facts.admin)
  const document = await describedBy(service, facts.settings)
  const { title, version } = document?.info ?? { title: 'the service', version: '' }
  const workers = workerText(facts.workers)
  return [
    '',
    `${`${title} ${version}`.trim()} is ready: development, ${workers}, ${(facts.startupMs / 1_000).toFixed(1)} s`,
    '',
    `  service   ${service}`,
    `  docs      ${service}/docs`,
    `  admin     ${admin}/readyz  /livez  /metrics  /info`,
    `  postgres  ${facts.database}`,
    `  redis     ${facts.redis}`,
    '',
    ...(document ? await invitation(service, document, facts) : []),
    'Ctrl-C drains and stops everything.',
    '',
  ].join('\n')
}

/** The service describes itself, so nothing about it has to be known here; nothing is invited to where it does not. */
async function describedBy(service: string, { ALLOWED_HOSTS }: Settings): Promise<Described | undefined> {
  const [host] = ALLOWED_HOSTS
  const asking = get(`${service}/openapi.json`, { timeout: 2_000, ...(host ? { headers: { host } } : {}) })
  try {
    const [response] = (await once(asking, 'response')) as [IncomingMessage]
    const described = (await json(response)) as Described
    return response.statusCode === 200 ? described : undefined
  } catch {
    return undefined
  }
}

async function invitation(
  service: string,
  document: Described,
  { settings, servicePath }: BannerFacts,
): Promise<readonly string[]> {
  const path = Object.entries(document.paths).find(([name, methods]) => 'get' in methods && isWorthTrying(name))?.[0]
  if (path === undefined || settings.JWT_SECRET === undefined) return []
  const token = await developmentToken(settings, { scopes: scopesOf(document) })
  return [
    `A token for development, valid for twelve hours, with every scope (another: ${COMMAND} token ${servicePath}):`,
    '',
    token,
    '',
    'Try it:',
    '',
    `curl -s ${service}${path} -H "Authorization: Bearer ${token}"`,
    '',
  ]
}

function isWorthTrying(path: string): boolean {
  return !path.includes('{') && path !== '/health'
}

function urlOf({ address, family, port }: AddressInfo): string {
  const everywhere = address === '0.0.0.0' || address === '::'
  const host = everywhere ? '127.0.0.1' : family === 'IPv6' ? `[${address}]` : address
  return `http://${host}:${port}`
}
