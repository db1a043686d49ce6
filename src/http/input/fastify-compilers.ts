/** Fastify's own schema compilers, which it keeps to itself: found from where Fastify is, so that they are its versions. */
import { createRequire } from 'node:module'

export type Schemas = Readonly<Record<string, unknown>>

/** What Fastify says of the schema that it wants compiled. */
export interface SchemaPlace {
  readonly schema: unknown
  readonly method: string
  readonly url: string
  /** `body`, `params`, `querystring` or `headers`; absent for a response. */
  readonly httpPart?: string
}

export interface AjvError {
  readonly instancePath: string
  readonly keyword: string
  readonly message?: string
  readonly params: Readonly<Record<string, unknown>>
}

export interface AjvValidate {
  (data: unknown): boolean
  errors?: readonly AjvError[] | null
}

export type Serialize = (data: unknown) => string

type Factory<Compiled> = () => (schemas: Schemas, options: unknown) => (place: SchemaPlace) => Compiled

const fromFastify = createRequire(import.meta.resolve('fastify'))

/** JSON Schema by Ajv. */
export const buildAjv: ReturnType<Factory<AjvValidate>> = (fromFastify('@fastify/ajv-compiler') as Factory<AjvValidate>)()

/** JSON Schema by fast-json-stringify. */
export const buildStringify: ReturnType<Factory<Serialize>> = (
  fromFastify('@fastify/fast-json-stringify-compiler') as Factory<Serialize>
)()
