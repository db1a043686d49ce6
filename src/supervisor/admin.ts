/** The admin listener: probes, and pages that the caller gives. Answers from what is known, so a blocked worker can't block it. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { listenFailed } from './errors.ts'
import type { ListenAddress } from './listener.ts'
import { livez, readyz, startupz, type ProbeAnswer, type SupervisorState } from './probes.ts'
import type { Reports } from './reports.ts'
import type { WorkerStatus } from './worker.ts'

export interface AdminRequest {
  /** The whole request target, query included. */
  readonly url: string
  readonly remoteAddress: string | undefined
  readonly headers: IncomingHttpHeaders
}

/** What a page is made of. */
export interface PageContext {
  readonly phase: SupervisorState['phase']
  readonly workers: readonly WorkerStatus[]
  readonly reports: Reports
  readonly request: AdminRequest
}

export interface AdminAnswer {
  readonly status: number
  readonly contentType: string
  readonly body: string
  /** Further headers, e.g. `WWW-Authenticate`. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export type AdminPage = (context: PageContext) => AdminAnswer | Promise<AdminAnswer>

export interface AdminOptions extends ListenAddress {
  /** Further pages by path, e.g. `/metrics`; each decides itself who may see it. Default: none. */
  readonly pages?: Readonly<Record<string, AdminPage>> | undefined
}

/** What the listener asks the supervisor. */
export interface AdminSource {
  state(): SupervisorState
  reports(): Reports
  /** A page threw. */
  pageFailed(path: string, error: unknown): void
}

export interface AdminListener extends Disposable {
  readonly address: AddressInfo
}

const PROBES: ReadonlyMap<string, (state: SupervisorState) => ProbeAnswer> = new Map([
  ['/livez', livez],
  ['/readyz', readyz],
  ['/startupz', startupz],
])

const LIMITS = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 15_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16_384,
}

const MAX_CONNECTIONS = 256

/** A name, an IPv4 address or a bracketed IPv6 one, perhaps with a port; pod addresses included. */
const HOST = /^(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i

/** @throws KeelsonError `KEELSON_LISTEN_FAILED` naming host, port and reason. */
export async function openAdminListener({ host, port, pages = {} }: AdminOptions, source: AdminSource): Promise<AdminListener> {
  const pagesByPath = new Map(Object.entries(pages))
  const server = createServer(LIMITS, (request, response) => {
    void send(response, request.method, answerTo(request, pagesByPath, source))
  })
  server.maxConnections = MAX_CONNECTIONS
  await listen(server, { host, port })
  return {
    address: server.address() as AddressInfo,
    [Symbol.dispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function listen(server: Server, { host, port }: ListenAddress): Promise<void> {
  server.listen({ host, port })
  try {
    await once(server, 'listening')
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error)
    throw listenFailed({ listener: 'admin', host, port, reason }, error)
  }
}

function answerTo(
  request: IncomingMessage,
  pages: ReadonlyMap<string, AdminPage>,
  source: AdminSource,
): AdminAnswer | Promise<AdminAnswer> {
  if (!hasOneValidHost(request)) return problem(400, 'Bad Request')
  const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
  const probe = PROBES.get(path)
  const page = pages.get(path)
  if (!probe && !page) return problem(404, 'Not Found')
  if (request.method !== 'GET' && request.method !== 'HEAD') return problem(405, 'Method Not Allowed', { Allow: 'GET, HEAD' })
  if (probe) return probeAnswer(probe(source.state()))
  return render(page as AdminPage, path, request, source)
}

/** HTTP/1.0 may leave the header out; two of them, or one that is no host, is somebody playing. */
function hasOneValidHost({ headersDistinct: { host = [] } }: IncomingMessage): boolean {
  return host.length === 0 || (host.length === 1 && HOST.test(host[0] as string))
}

function probeAnswer({ ok, reasons, degraded }: ProbeAnswer): AdminAnswer {
  const status = ok ? (degraded.length > 0 ? 'degraded' : 'ok') : 'unavailable'
  return { status: ok ? 200 : 503, contentType: 'application/json', body: JSON.stringify({ status, reasons, degraded }) }
}

async function render(page: AdminPage, path: string, request: IncomingMessage, source: AdminSource): Promise<AdminAnswer> {
  const { phase, workers } = source.state()
  const { url = '/', headers } = request
  try {
    return await page({
      phase,
      workers,
      reports: source.reports(),
      request: { url, headers, remoteAddress: request.socket.remoteAddress },
    })
  } catch (error) {
    source.pageFailed(path, error)
    return problem(500, 'Internal Server Error')
  }
}

function problem(status: number, title: string, headers?: Readonly<Record<string, string>>): AdminAnswer {
  const body = JSON.stringify({ type: 'about:blank', title, status })
  return { status, contentType: 'application/problem+json', body, headers }
}

async function send(
  response: ServerResponse,
  method: string | undefined,
  pending: AdminAnswer | Promise<AdminAnswer>,
): Promise<void> {
  const { status, contentType, body, headers } = await pending
  response.writeHead(status, {
    ...headers,
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(method === 'HEAD' ? undefined : body)
}
