/** `keelson/http/input`: what a request may contain, checked before a handler sees it. */
export { input, INPUT_DEFAULTS, type InputOptions } from './input.ts'
export { JSON_LIMITS, type JsonLimits } from './json-limits.ts'
export { createNegotiation } from './negotiation.ts'
export { parseJson } from './parse-json.ts'
/** `app.withTypeProvider<ZodTypeProvider>()`: handlers typed by their Zod schemas. */
export type { ZodTypeProvider } from 'fastify-type-provider-zod'
