/** `keelson/http/context`: request ids and W3C trace context. */
export { context, outgoingTraceHeaders, requestIdOptions, type RequestIdOptions } from './plugin.ts'
export { traceHeaders, traceOf, type TraceContext, type TraceHeaders } from './trace.ts'
