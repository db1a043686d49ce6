/**
 * W3C Trace Context: which distributed trace a request belongs to, and what the calls made for it carry on.
 * https://www.w3.org/TR/trace-context/ (level 1) and https://www.w3.org/TR/trace-context-2/ (the random flag).
 */
import type { IncomingHttpHeaders } from 'node:http'
import { randomHex } from './random-id.ts'
import { validTracestate } from './tracestate.ts'

export interface TraceContext {
  /** 32 hex digits, the same in every service that the trace passes through. */
  readonly traceId: string
  /** 16 hex digits: this service's part of the trace. */
  readonly spanId: string
  /** The caller's span; absent where the trace begins here. */
  readonly parentId?: string
  /** Whether the caller records the trace. */
  readonly sampled: boolean
  /** Whether the trace id is random enough to sample by (level 2). */
  readonly random: boolean
  /** The vendors' own data, as received; passed on untouched. */
  readonly tracestate?: string
}

export interface TraceHeaders {
  readonly traceparent: string
  readonly tracestate?: string
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const SAMPLED = 0x01
const RANDOM = 0x02

/** Continues the caller's trace, or begins one where there is none or it is malformed. */
export function traceOf(headers: IncomingHttpHeaders): TraceContext {
  const parent = parseTraceparent(headers['traceparent'])
  if (!parent) return { traceId: randomHex(16), spanId: randomHex(8), sampled: false, random: true }
  const given = headers['tracestate']
  const tracestate = validTracestate(Array.isArray(given) ? given.join(',') : given)
  return { ...parent, spanId: randomHex(8), ...(tracestate === undefined ? {} : { tracestate }) }
}

/** Headers for one call made on behalf of `trace`: a new span id each time, because each call is a span of its own. */
export function traceHeaders({ traceId, sampled, random, tracestate }: TraceContext): TraceHeaders {
  const flags = (sampled ? SAMPLED : 0) | (random ? RANDOM : 0)
  const traceparent = `00-${traceId}-${randomHex(8)}-0${flags}`
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate }
}

type Parent = Required<Pick<TraceContext, 'traceId' | 'parentId' | 'sampled' | 'random'>>

function parseTraceparent(header: string | string[] | undefined): Parent | undefined {
  if (typeof header !== 'string') return undefined
  const [, version, traceId = '', parentId = '', flags = '', more] = TRACEPARENT.exec(header) ?? []
  if (version === undefined || version === 'ff') return undefined
  // A later version may append fields, separated by a dash; version 00 may not.
  if (version === '00' && more !== undefined) return undefined
  if (!/[^0]/.test(traceId) || !/[^0]/.test(parentId)) return undefined
  const bits = Number.parseInt(flags, 16)
  return { traceId, parentId, sampled: (bits & SAMPLED) !== 0, random: (bits & RANDOM) !== 0 }
}
