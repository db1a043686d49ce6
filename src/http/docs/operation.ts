/** One route as an OpenAPI operation: schemas from Zod or JSON Schema, security from its policy, problems from both. */
import { STATUS_CODES } from 'node:http'
import type { FastifySchema, RouteOptions } from 'fastify'
import { jsonSchemaTransform } from 'fastify-type-provider-zod'
import { z } from 'zod'

/** What `@fastify/swagger` hands to a transform, as far as it is needed here. */
export interface OperationSource {
  readonly schema: FastifySchema | undefined
  readonly url: string
  /** With what Fastify adds to it when it is registered. */
  readonly route: RouteOptions & { readonly prefix?: string; readonly routePath?: string }
  readonly openapiObject: object
}

interface Operation {
  readonly schema: Record<string, unknown>
  readonly url: string
}

type AuthPolicy = false | 'any' | { readonly scopes: readonly string[] } | undefined

/** Options of other plugins, read structurally: each works without this one. */
interface Policies {
  readonly auth?: AuthPolicy
  readonly deadlineMs?: number
}

const INPUT_PARTS = ['body', 'querystring', 'params', 'headers'] as const

export function describeOperation(source: OperationSource): Operation {
  const { schema = {}, url, route } = source
  if ((schema as { hide?: boolean }).hide) return { schema: { hide: true }, url }
  const policies = { ...(route.config as { keelson?: Policies } | undefined)?.keelson, ...(route as Policies) }
  const converted = convertSchemas(source)
  const problems = problemResponses(schema, policies.auth)
  return {
    url: publicUrl(route),
    schema: {
      ...operationId(route),
      ...converted,
      ...security(policies.auth, converted['security']),
      ...(policies.deadlineMs === undefined ? {} : { 'x-deadline-ms': policies.deadlineMs }),
      response: { ...success(converted['response']), ...problems, ...(converted['response'] as object | undefined) },
    },
  }
}

/** Zod parts become JSON Schema for their direction; JSON Schema parts stay as they are. */
function convertSchemas({ schema = {}, url, openapiObject }: OperationSource): Record<string, unknown> {
  const convert: Convert = (part, direction) => {
    const wrapped = direction === 'input' ? { body: part } : { response: { 200: part } }
    const { schema: converted } = jsonSchemaTransform({ schema: wrapped, url, openapiObject } as never) as Converted
    return direction === 'input' ? converted.body : converted.response?.[200]
  }
  const inputs = INPUT_PARTS.filter((part) => schema[part]).map((part) => [part, convertPart(schema[part], 'input', convert)])
  const responses = Object.entries((schema.response ?? {}) as object).map(([status, part]) => [
    status,
    described(status, convertPart(part, 'output', convert)),
  ])
  return { ...schema, ...Object.fromEntries(inputs), response: Object.fromEntries(responses) }
}

type Direction = 'input' | 'output'
type Convert = (part: unknown, direction: Direction) => unknown

interface Converted {
  readonly schema: { readonly body?: unknown; readonly response?: Readonly<Record<string, unknown>> }
}

/** A part may be declared by media type: `{ content: { 'application/json': { schema } } }`. */
function convertPart(part: unknown, direction: Direction, convert: Convert): unknown {
  if (part instanceof z.core.$ZodType) return convert(part, direction)
  const { content } = part as { readonly content?: Readonly<Record<string, { readonly schema?: unknown }>> }
  if (typeof content !== 'object') return part
  const variants = Object.entries(content).map(([type, media]) => {
    return [type, { ...media, schema: convertPart(media.schema ?? {}, direction, convert) }]
  })
  return { ...(part as object), content: Object.fromEntries(variants) }
}

/** OpenAPI demands a description of every response. */
function described(status: string, schema: unknown): object {
  return { description: STATUS_CODES[status] ?? (/^[23]/.test(status) ? 'Success' : 'Failure'), ...(schema as object) }
}

function security(auth: AuthPolicy, given: unknown): object {
  if (given !== undefined) return { security: given }
  if (auth === undefined) return {}
  if (auth === false) return { security: [] }
  return { security: [{ bearer: auth === 'any' ? [] : auth.scopes }] }
}

function problemResponses(schema: FastifySchema, auth: AuthPolicy): Record<string, unknown> {
  const statuses = new Map<string, string>()
  if (INPUT_PARTS.some((part) => schema[part])) statuses.set('400', 'The input breaks a rule; `errors` says which')
  if (auth) statuses.set('401', 'No token, or one that is not accepted')
  if (auth && auth !== 'any') statuses.set('403', 'The token lacks a scope')
  if (schema.params) statuses.set('404', 'No such thing')
  if (schema.body) statuses.set('413', 'The body is too large').set('415', 'The body is not JSON')
  statuses.set('default', 'Any other failure')
  return Object.fromEntries([...statuses].map(([status, description]) => [status, problem(description)]))
}

/** A route that declares no success, such as one that answers 204, still has one. */
function success(responses: unknown): object {
  const declared = Object.keys((responses ?? {}) as object).some((status) => /^[23]/.test(status))
  return declared ? {} : { '2XX': { description: 'Success' } }
}

/** A route at the root of a prefix answers with a slash and without; the document names the latter. */
function publicUrl({ url, prefix, routePath }: OperationSource['route']): string {
  return prefix && routePath === '/' ? url.slice(0, -1) : url
}

function problem(description: string): object {
  return { description, content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } }
}

/**
 * `GET /api/users/:id` becomes `getApiUsersById`: stable, and readable in generated clients. It has to be unique, so a
 * route with several methods, which share one description, has none.
 */
function operationId({ method, url }: RouteOptions): { readonly operationId?: string } {
  if (typeof method !== 'string') return {}
  const words = url.replaceAll('*', 'wildcard').split('/').filter(Boolean)
  const named = words.map((word) => (word.startsWith(':') ? `By${capital(word.slice(1))}` : capital(word)))
  return { operationId: `${method.toLowerCase()}${named.join('').replaceAll(/\W/g, '')}` }
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1)
}
