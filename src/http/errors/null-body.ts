/** A `null` that a handler returns by mistake (a row that was not there) must not become a 200 with the text `null`. */
import type { FastifyRequest } from 'fastify'
import { KeelsonError } from '../../core/errors.ts'

type JsonSchema = Readonly<Record<string, unknown>>

/** @throws KeelsonError `KEELSON_RESPONSE_INVALID` (500), unless the response schema of `status` allows a `null`. */
export function checkNullBody(request: FastifyRequest, status: number): void {
  if (status === 204 || status === 205 || status === 304) return
  const { schema, method, url } = request.routeOptions
  const declared = responseSchema(schema?.response as JsonSchema | undefined, status)
  // A Zod schema is asked when the answer is serialized.
  if (declared && ('_zod' in declared || allowsNull(declared))) return
  throw new KeelsonError(
    'KEELSON_RESPONSE_INVALID',
    'internal',
    `${String(method)} ${url}: null is not in the schema of ${status}`,
  )
}

function responseSchema(response: JsonSchema | undefined, status: number): JsonSchema | undefined {
  const declared = response?.[status] ?? response?.[`${String(status)[0]}xx`] ?? response?.[`${String(status)[0]}XX`]
  return (declared ?? response?.['default']) as JsonSchema | undefined
}

function allowsNull(schema: JsonSchema): boolean {
  const { type, nullable, anyOf, oneOf } = schema
  if (type === 'null' || nullable === true || (Array.isArray(type) && type.includes('null'))) return true
  const branches = (anyOf ?? oneOf) as readonly JsonSchema[] | undefined
  return branches?.some(allowsNull) ?? false
}
