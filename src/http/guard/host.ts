/** One valid Host, which is one of ours: caches, links and access rules in front of us are keyed by it. */
import type { IncomingMessage } from 'node:http'
import { KeelsonError } from '../../core/errors.ts'
import { malformed } from './framing.ts'

/** `uri-host [":" port]` (RFC 9110 §7.2), names limited to the letters of DNS. */
const HOST = /^(?:\[[\da-f:.]{2,45}\]|[a-z\d_](?:[a-z\d._-]{0,252}))(?::\d{1,5})?$/i

/** The authority of a request line such as `GET http://host/path HTTP/1.1`. */
const ABSOLUTE_FORM = /^https?:\/\/([^/?#]*)\//i

export function isHost(value: string): boolean {
  return HOST.test(value)
}

/** @returns a function that says why the request is refused, if it is. */
export function createHostCheck(allowedHosts: readonly string[]): (raw: IncomingMessage) => KeelsonError | undefined {
  const allowed = new Set(allowedHosts.map(canonical))
  // Nearly all requests have the same Host: one comparison of strings, instead of an expression and a look-up.
  let lastGood: string | undefined

  return function checkHost(raw) {
    const host = hostOf(raw)
    if (host === undefined) return mayLackHost(raw) ? undefined : malformed('the header `Host` is missing')
    if (host !== lastGood) {
      const refusal = checkName(host)
      if (refusal) return refusal
      lastGood = host
    }
    return raw.url?.charCodeAt(0) === SLASH ? undefined : checkAuthority(raw.url ?? '', host)
  }

  /** HTTP/1.0 knew no Host; but whoever lists hosts wants to be told one. */
  function mayLackHost(raw: IncomingMessage): boolean {
    return raw.httpVersion === '1.0' && allowed.size === 0
  }

  function checkName(host: string): KeelsonError | undefined {
    if (!isHost(host)) return malformed('the header `Host` is not valid')
    if (allowed.size === 0 || isAllowed(allowed, canonical(host))) return undefined
    return new KeelsonError('KEELSON_HOST_UNKNOWN', 'invalid', 'this host is not served here')
  }
}

/** HTTP/2 has a pseudo-header for it. */
function hostOf({ headers }: IncomingMessage): string | undefined {
  return headers.host ?? (headers[':authority'] as string | undefined)
}

const SLASH = 47

/** The authority in the request line wins over Host (RFC 9112 §3.2.2); where they differ, something is wrong. */
function checkAuthority(url: string, host: string): KeelsonError | undefined {
  const authority = ABSOLUTE_FORM.exec(url)?.[1]
  if (authority === undefined) return malformed('the request line has no path')
  if (authority.toLowerCase() === host.toLowerCase()) return undefined
  return malformed('the request line and `Host` name different hosts')
}

function isAllowed(allowed: ReadonlySet<string>, host: string): boolean {
  return allowed.has(host) || allowed.has(host.replace(/:\d+$/, ''))
}

/** Host names know no case, and may end in a dot. */
function canonical(host: string): string {
  return host.toLowerCase().replace(/\.(?=:\d+$|$)/, '')
}
