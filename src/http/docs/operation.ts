/** One route as an OpenAPI operation: schemas from Zod or JSON Schema, security from its policy, problems from both. */
import type { FastifySchema, RouteOptions } from 'fastify'
import { jsonSchemaTransform } from 'fastify-type-provider-zod'
import { z } from 'zod'

/** What `@fastify/swagger` hands to a transform, as far as it is needed here. */
export interface OperationSource {
  readonly schema: FastifySchema | undefined
  readonly url: string
  readonly route: RouteOptions
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
    url: withoutSlash(url),
    schema: {
      operationId: operationId(route),
      ...converted,
      ...security(policies.auth, converted['security']),
      ...(policies.deadlineMs === undefined ? {} : { 'x-deadline-ms': policies.deadlineMs }),
      response: { ...success(converted['response']), ...problems, ...(converted['response'] as object | undefined) },
    },
  }
}

/** Zod parts become JSON Schema for their direction; JSON Schema parts stay as they are. */
function convertSchemas({ schema = {}, url, openapiObject }: OperationSource): Record<string, unknown> {
  const zod: Record<string, unknown> = {}
  const plain: Record<string, unknown> = { ...schema }
  const move = (name: string, part: unknown): void => {
    zod[name] = part
    delete plain[name]
  }
  for (const name of INPUT_PARTS) if (schema[name] instanceof z.core.$ZodType) move(name, schema[name])
  const responses = Object.entries((schema.response ?? {}) as Record<string, unknown>)
  const zodResponses = responses.filter(([, part]) => part instanceof z.core.$ZodType)
  if (zodResponses.length > 0) zod['response'] = Object.fromEntries(zodResponses)
  const transformed = jsonSchemaTransform({ schema: zod, url, openapiObject } as never).schema as Record<string, unknown>
  const response = {
    ...Object.fromEntries(responses.filter(([, part]) => !(part instanceof z.core.$ZodType))),
    ...describeResponses(transformed['response']),
  }
  return { ...plain, ...transformed, response }
}

/** OpenAPI demands a description of every response. */
function describeResponses(responses: unknown): Record<string, unknown> {
  const entries = Object.entries((responses ?? {}) as Record<string, Record<string, unknown>>)
  return Object.fromEntries(entries.map(([status, schema]) => [status, { description: 'Success', ...schema }]))
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
function withoutSlash(url: string): string {
  return url.length > 1 && url.endsWith('/') ? url.slice(0, -1) : url
}

function problem(description: string): object {
  return { description, content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } }
}

/** `GET /api/users/:id` becomes `getApiUsersById`: stable, unique, readable in generated clients. */
function operationId({ method, url }: RouteOptions): string {
  const words = url.split('/').filter(Boolean)
  const named = words.map((word) => (word.startsWith(':') ? `By${capital(word.slice(1))}` : capital(word)))
  return `${String(method).toLowerCase()}${named.join('').replaceAll(/\W/g, '')}`
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1)
}
