/** The caller's own patience, sent along as a header. Relative, because two machines' clocks never agree. */
import type { FastifyRequest } from 'fastify'

/** Ours first, then the one Envoy adds (https://www.envoyproxy.io/docs, "x-envoy-expected-rq-timeout-ms"). */
const HEADERS = ['x-request-timeout-ms', 'x-envoy-expected-rq-timeout-ms'] as const

/** A caller that grants less than this has given up already, or has a broken clock. */
const FLOOR_MS = 5

/** @returns milliseconds, at least 5; `Infinity` where no header says anything sensible. */
export function callerDeadlineMs({ headers }: FastifyRequest): number {
  for (const name of HEADERS) {
    const value = headers[name]
    if (typeof value === 'string' && /^\d{1,9}$/.test(value)) return Math.max(FLOOR_MS, Number(value))
  }
  return Infinity
}
