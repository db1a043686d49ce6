/**
 * Limits that only Fastify's constructor takes. Fastify sets Node's `requestTimeout` to 0, which switches the limit off:
 * without these, a client that sends a byte now and then keeps a request open for ever.
 * Sources: Node's http documentation; OWASP Node.js Security Cheat Sheet; RFC 9110 §4.1 (length of a URL).
 */
import type { FastifyServerOptions } from 'fastify'
import { atLeast, integerAtLeast, oneOf, resolveOptions, type Check } from '../../core/options.ts'
import { clientErrorHandler, frameworkErrors } from '../errors/index.ts'

export interface ServerLimits {
  /** Time for a whole request to arrive, body included, in milliseconds. Default: 30_000. */
  readonly requestTimeoutMs: number
  /** Time for its headers to arrive, in milliseconds. Default: 10_000. */
  readonly headersTimeoutMs: number
  /** How often Node looks for requests that are late, in milliseconds: by so much they may exceed a limit. Default: 2_000. */
  readonly checkIntervalMs: number
  /** How long an idle connection stays open, in milliseconds; longer than a load balancer's own limit. Default: 72_000. */
  readonly keepAliveTimeoutMs: number
  /** How long a connection may stand still in the midst of a request or answer, in milliseconds. Default: 65_000. */
  readonly connectionTimeoutMs: number
  /** Requests on one connection before it is closed, so that load spreads again after a reload. Default: 1_000. */
  readonly maxRequestsPerSocket: number
  /** All headers of a request together, in bytes; more is a 431. Default: 16_384. */
  readonly maxHeaderBytes: number
  /** Body, in bytes; more is a 413. A route's own `bodyLimit` goes first. Default: 102_400. */
  readonly bodyLimitBytes: number
  /** One parameter of a route's path, in characters; more is a 414. Default: 100. */
  readonly maxParamLength: number
  /**
   * Whose `X-Forwarded-*` headers count: addresses, CIDR ranges, or how many proxies stand in front, if nobody can go
   * round them. `true` would be everybody. Default: false, nobody's.
   */
  readonly trustProxy: false | number | string | readonly string[]
  /** What Fastify's `close()` does with open connections. Default: `'idle'`, ends those that wait for a request. */
  readonly forceCloseConnections: boolean | 'idle'
}

export const SERVER_DEFAULTS: ServerLimits = {
  requestTimeoutMs: 30_000,
  headersTimeoutMs: 10_000,
  checkIntervalMs: 2_000,
  keepAliveTimeoutMs: 72_000,
  connectionTimeoutMs: 65_000,
  maxRequestsPerSocket: 1_000,
  maxHeaderBytes: 16_384,
  bodyLimitBytes: 102_400,
  maxParamLength: 100,
  trustProxy: false,
  forceCloseConnections: 'idle',
}

const peers: Check = (value) => {
  const isCount = Number.isSafeInteger(value) && (value as number) >= 1
  const isKnown = value === false || isCount || typeof value === 'string' || Array.isArray(value)
  return isKnown ? undefined : 'must be false, a number of proxies >= 1, or addresses'
}

type TrustProxy = false | string | string[] | ((address: string, hop: number) => boolean)

/** Fastify 5.12 trusts nobody if it is given a number, because it cannot know that there is no way round the proxies. */
function trusted(trustProxy: ServerLimits['trustProxy']): TrustProxy {
  if (typeof trustProxy === 'number') return (_address, hop) => hop < trustProxy
  return trustProxy === false || typeof trustProxy === 'string' ? trustProxy : [...trustProxy]
}

/** What `Fastify(…)` is given. */
export interface ServerOptions {
  readonly requestTimeout: number
  readonly keepAliveTimeout: number
  readonly connectionTimeout: number
  readonly maxRequestsPerSocket: number
  readonly bodyLimit: number
  readonly routerOptions: { readonly maxParamLength: number }
  readonly trustProxy: TrustProxy
  readonly forceCloseConnections: boolean | 'idle'
  readonly return503OnClosing: false
  readonly onProtoPoisoning: 'error'
  readonly onConstructorPoisoning: 'error'
  readonly clientErrorHandler: NonNullable<FastifyServerOptions['clientErrorHandler']>
  readonly frameworkErrors: NonNullable<FastifyServerOptions['frameworkErrors']>
  readonly http: {
    readonly headersTimeout: number
    readonly connectionsCheckingInterval: number
    readonly maxHeaderSize: number
    readonly requireHostHeader: false
    readonly insecureHTTPParser: false
  }
}

/**
 * `Fastify({ ...serverOptions(), logger })`; register `guard` as well, which two of these options count on.
 * @throws KeelsonError `KEELSON_CONFIG_INVALID` on an option that is unknown or out of range.
 */
export function serverOptions(given?: Partial<ServerLimits>): ServerOptions {
  const limits = resolveOptions('serverOptions', SERVER_DEFAULTS, given, {
    requestTimeoutMs: atLeast(1),
    headersTimeoutMs: atLeast(1),
    checkIntervalMs: atLeast(1),
    keepAliveTimeoutMs: atLeast(1),
    connectionTimeoutMs: atLeast(1),
    maxRequestsPerSocket: integerAtLeast(1),
    maxHeaderBytes: integerAtLeast(1_024),
    bodyLimitBytes: integerAtLeast(1),
    maxParamLength: integerAtLeast(1),
    trustProxy: peers,
    forceCloseConnections: oneOf(true, false, 'idle'),
  })
  return {
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionTimeout: limits.connectionTimeoutMs,
    maxRequestsPerSocket: limits.maxRequestsPerSocket,
    bodyLimit: limits.bodyLimitBytes,
    routerOptions: { maxParamLength: limits.maxParamLength },
    trustProxy: trusted(limits.trustProxy),
    forceCloseConnections: limits.forceCloseConnections,
    // Fastify's own 503 is no problem document and has none of our headers; the guard sends one instead.
    return503OnClosing: false,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    clientErrorHandler,
    frameworkErrors,
    http: {
      // Node refuses a limit for headers that exceeds the one for the whole.
      headersTimeout: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs),
      connectionsCheckingInterval: limits.checkIntervalMs,
      maxHeaderSize: limits.maxHeaderBytes,
      // Node's own 400 for a missing Host has no body; the guard's has.
      requireHostHeader: false,
      insecureHTTPParser: false,
    },
  }
}
