/**
 * What the `code` of a network error says about the request that met it.
 * Sources: https://nodejs.org/api/errors.html#common-system-errors, https://man7.org/linux/man-pages/man3/errno.3.html,
 * https://github.com/nodejs/undici/blob/main/docs/docs/api/Errors.md
 */

/** `unprocessed`: never reached the peer. `ambiguous`: may have taken effect. `permanent`: would fail again. */
export type NodeCodeClass = 'unprocessed' | 'ambiguous' | 'permanent' | 'cancelled'

const UNPROCESSED = [
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_CLOSED',
  'UND_ERR_PRX_CONN',
]

/** Unprocessed while connecting; on a connection that exists, the request may have been sent before the route was lost. */
const ROUTE_LOST: ReadonlySet<string> = new Set(['EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN', 'EHOSTDOWN'])

const AMBIGUOUS = [
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ERR_STREAM_PREMATURE_CLOSE',
  'UND_ERR_SOCKET',
  // Also what a request in flight gets when its dispatcher is destroyed.
  'UND_ERR_DESTROYED',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
]

const PERMANENT = [
  'UND_ERR_INVALID_ARG',
  'UND_ERR_HEADERS_OVERFLOW',
  'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_RES_EXCEEDED_MAX_SIZE',
  'UND_ERR_NOT_SUPPORTED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]

const CANCELLED = ['ABORT_ERR', 'UND_ERR_ABORTED']

const CLASSES: ReadonlyMap<string, NodeCodeClass> = new Map<string, NodeCodeClass>([
  ...UNPROCESSED.map((code) => [code, 'unprocessed'] as const),
  ...AMBIGUOUS.map((code) => [code, 'ambiguous'] as const),
  ...PERMANENT.map((code) => [code, 'permanent'] as const),
  ...CANCELLED.map((code) => [code, 'cancelled'] as const),
])

/** @returns nothing when the error has no code, or one that is not known here. */
export function classOfNodeError(error: Error): NodeCodeClass | undefined {
  const { code, syscall } = error as NodeJS.ErrnoException
  if (typeof code !== 'string') return undefined
  if (ROUTE_LOST.has(code)) return syscall === 'connect' ? 'unprocessed' : 'ambiguous'
  return CLASSES.get(code)
}
