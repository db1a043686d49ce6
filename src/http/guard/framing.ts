/** Where a request ends, and what its body is coded in, must have one meaning. */
import type { IncomingMessage } from 'node:http'
import { KeelsonError } from '../../core/errors.ts'

/** Headers that say what a request is or who sends it. Node keeps the first of two; a proxy may keep the last. */
const SINGLETONS: ReadonlySet<string> = new Set([
  'authorization',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'origin',
  'proxy-authorization',
  'transfer-encoding',
])

/** @returns why the request is refused, if it is. */
export function checkFraming(raw: IncomingMessage): KeelsonError | undefined {
  const { headers, httpVersionMajor: major, httpVersionMinor: minor } = raw
  // HTTP/2 proper has frames of its own, and a stream; `HTTP/2.0` in the request line of HTTP/1 has not.
  if (!(major === 1 && (minor === 1 || minor === 0)) && !('stream' in raw)) {
    return new KeelsonError('KEELSON_HTTP_VERSION_UNSUPPORTED', 'invalid', 'only HTTP/1.0 and HTTP/1.1 are spoken here')
  }
  const coding = headers['transfer-encoding']
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || minor === 0 || headers['content-length'] !== undefined)) {
    return malformed('`Transfer-Encoding` must be `chunked`, alone, and in HTTP/1.1')
  }
  const compressed = headers['content-encoding']
  if (compressed !== undefined && compressed.toLowerCase() !== 'identity') {
    return new KeelsonError('KEELSON_CONTENT_ENCODING_UNSUPPORTED', 'invalid', 'a compressed body is not accepted')
  }
  const repeated = repeatedSingleton(raw)
  return repeated === undefined ? undefined : malformed(`the header \`${repeated}\` must not be repeated`)
}

function repeatedSingleton({ headers, rawHeaders }: IncomingMessage): string | undefined {
  // As many names as lines: none can be there twice. So it is for nearly all requests.
  if (Object.keys(headers).length * 2 === rawHeaders.length) return undefined
  const seen = new Set<string>()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase()
    if (!SINGLETONS.has(name)) continue
    if (seen.has(name)) return name
    seen.add(name)
  }
  return undefined
}

/** @returns the refusal of a request that breaks HTTP itself. */
export function malformed(message: string): KeelsonError {
  return new KeelsonError('KEELSON_REQUEST_MALFORMED', 'invalid', message)
}
