/**
 * Validators and serializers for both kinds of schema, in one app: Zod by Zod, JSON Schema by Fastify's own compilers.
 * Nothing is coerced here: bodies are typed already, and the strings of other parts were read before.
 */
import { ResponseSerializationError, serializerCompiler } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { KeelsonError, type FieldProblem } from '../../core/errors.ts'
import { buildAjv, buildStringify, type SchemaPlace, type Schemas, type Serialize } from './fastify-compilers.ts'
import { isJsonSchema, isZod, References, zodToJson, type ZodSchema } from './json-schema.ts'
import { ajvProblems, partPointer, validationFailed, zodProblems } from './problems.ts'
import { createStringReader } from './read-strings.ts'

type Outcome = { readonly value: unknown } | { readonly error: Error }
type Validate = (data: unknown) => Outcome

/** What a schema says of data: the value to go on with, or what is wrong. */
type Check = (data: unknown) => { readonly value: unknown } | { readonly problems: FieldProblem[] }

interface AjvOptions {
  readonly customOptions?: Readonly<Record<string, unknown>>
}

/** Fastify's `compilersFactory.buildValidator`. */
export function buildValidator(schemas: Schemas, options: AjvOptions): (place: SchemaPlace) => Validate {
  const compileJsonSchema = buildAjv(schemas, {
    ...options,
    // Ajv would turn "12" into 12, null into "", and take away what the schema forbids.
    customOptions: { ...options.customOptions, coerceTypes: false, removeAdditional: false },
  })
  return function compileValidator(place) {
    const prefix = partPointer(place.httpPart)
    if (isZod(place.schema)) return finish(place, zodCheck(place.schema, prefix), schemas)
    const validate = compileJsonSchema(place)
    const check: Check = (data) => (validate(data) ? { value: data } : { problems: ajvProblems(validate.errors, prefix) })
    return finish(place, check, schemas)
  }
}

function zodCheck(schema: ZodSchema, prefix: string): Check {
  return function checkWithZod(data) {
    const result = z.core.safeParse(schema, data)
    return result.success ? { value: result.data } : { problems: zodProblems(result.error.issues, data, prefix) }
  }
}

function finish({ httpPart, schema }: SchemaPlace, check: Check, schemas: Schemas): Validate {
  const json = isZod(schema) ? zodToJson(schema, 'input').json : schema
  const fail = (problems: readonly FieldProblem[]): Outcome => ({ error: validationFailed(httpPart, problems) })
  if (httpPart === 'body' || !isJsonSchema(json)) {
    return function validateBody(data) {
      const outcome = check(data)
      return 'problems' in outcome ? fail(outcome.problems) : outcome
    }
  }
  const readStrings = createStringReader(json, new References(json, schemas), partPointer(httpPart))
  return function validateStrings(data) {
    const unread: FieldProblem[] = []
    const outcome = check(readStrings(data as Record<string, unknown>, unread))
    if (unread.length === 0) return 'problems' in outcome ? fail(outcome.problems) : outcome
    const pointers = new Set(unread.map(({ pointer }) => pointer))
    const others = 'problems' in outcome ? outcome.problems.filter(({ pointer }) => !pointers.has(pointer)) : []
    return fail([...unread, ...others])
  }
}

/** Fastify's `compilersFactory.buildSerializer`. */
export function buildSerializer(schemas: Schemas, options: unknown): (place: SchemaPlace) => Serialize {
  const compileJsonSchema = buildStringify(schemas, options)
  return function compileSerializer(place) {
    if (!isZod(place.schema)) return compileJsonSchema(place)
    const serialize = serializerCompiler(place as never) as Serialize
    return function serializeOrExplain(data) {
      try {
        return serialize(data)
      } catch (error) {
        throw responseInvalid(place, error)
      }
    }
  }
}

function responseInvalid({ method, url }: SchemaPlace, error: unknown): KeelsonError {
  const cause = error instanceof ResponseSerializationError ? error.cause : error
  return new KeelsonError('KEELSON_RESPONSE_INVALID', 'internal', `${method} ${url}: the answer does not match its schema`, {
    cause,
  })
}
