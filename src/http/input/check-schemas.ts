/** What is wrong with a route's schemas, at boot: before the first request could show it. */
import type { RouteOptions } from 'fastify'
import { KeelsonError } from '../../core/errors.ts'
import { lintSchema } from './lint-schema.ts'
import { isJsonSchema, isZod, References, zodToJson, type Direction, type JsonSchema } from './json-schema.ts'
import type { Schemas } from './fastify-compilers.ts'

/** @throws KeelsonError `KEELSON_SCHEMA_REFUSED` naming the route, each part and path, and the rule. */
export function checkSchemas(route: RouteOptions, known: Schemas): void {
  const { body, querystring, params, headers, response } = (route.schema ?? {}) as Record<string, unknown>
  const query = querystring ?? (route.schema as { readonly query?: unknown } | undefined)?.query
  const problems = [
    ...variantsOf('body', body).flatMap(([part, schema]) => checkPart(part, schema, 'input', known)),
    ...Object.entries({ query, params, headers }).flatMap(([part, schema]) => checkPart(part, schema, 'input', known)),
    ...Object.entries((response ?? {}) as object).flatMap(([status, declared]) =>
      variantsOf(`response ${status}`, declared).flatMap(([part, schema]) => checkPart(part, schema, 'output', known)),
    ),
  ]
  if (problems.length === 0) return
  const name = `${String(route.method)} ${route.url}`
  throw new KeelsonError('KEELSON_SCHEMA_REFUSED', 'invalid', `${name}: ${problems.join('; ')}`, { details: { route: name } })
}

/** A part by media type, if it is declared so: `{ content: { 'application/json': { schema } } }`. */
function variantsOf(part: string, declared: unknown): (readonly [string, unknown])[] {
  const content = isZod(declared) ? undefined : (declared as { readonly content?: Record<string, { schema?: unknown }> })?.content
  if (!content) return [[part, declared]]
  return Object.entries(content).map(([type, { schema }]) => [`${part} (${type})`, schema])
}

function checkPart(part: string, schema: unknown, direction: Direction, known: Schemas): string[] {
  const name = (pointer: string, problem: string): string => `${part}${pointer === '' ? '' : ` at ${pointer}`}: ${problem}`
  let json: JsonSchema
  if (isZod(schema)) {
    const converted = zodToJson(schema, direction)
    if (converted.lost.length > 0) {
      return converted.lost.map((pointer) => name(pointer, `has no JSON Schema as ${direction}, so it cannot be documented`))
    }
    json = converted.json
  } else if (isJsonSchema(schema)) {
    json = schema
  } else {
    return []
  }
  if (direction === 'output') return []
  const findings = lintSchema(json, new References(json, known), part.startsWith('body'))
  return findings.map(({ pointer, problem }) => name(pointer, problem))
}
