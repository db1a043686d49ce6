/**
 * Query, path and header values arrive as strings. They are read as what their schema declares: numbers and booleans in
 * their JSON form alone, so that `?limit=` is not 0 and `?flag=false` not true, and a name that repeats only as an array.
 */
import type { FieldProblem } from '../../core/errors.ts'
import { isJsonSchema, type JsonSchema, type References } from './json-schema.ts'
import { pointerOf } from './json-limits.ts'

type Scalar = 'number' | 'boolean' | 'text'

interface Reading {
  readonly as: Scalar
  /** Whether it may stand several times: `always` an array, `never`, or `either`. */
  readonly many: 'always' | 'never' | 'either'
}

type Strings = Readonly<Record<string, unknown>>

/** Reads one part of a request; what cannot be read is left as it came, and told in `problems`. */
export type ReadStrings = (data: Strings, problems: FieldProblem[]) => Strings

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

export function createStringReader(schema: JsonSchema, references: References, prefix: string): ReadStrings {
  const readings = Object.entries(propertiesOf(schema, references)).map(
    ([name, property]) => [name, readingOf(property, references)] as const,
  )
  return function readStrings(data, problems) {
    const read: Record<string, unknown> = { ...data }
    for (const [name, reading] of readings) {
      if (!Object.hasOwn(data, name) || data[name] === undefined) continue
      read[name] = readOne(data[name], reading, (problem) => problems.push({ pointer: prefix + pointerOf([name]), ...problem }))
    }
    return read
  }
}

type Report = (problem: Pick<FieldProblem, 'code' | 'message'>) => void

function readOne(value: unknown, { as, many }: Reading, report: Report): unknown {
  if (!Array.isArray(value)) {
    const scalar = readScalar(value, as, report)
    return many === 'always' ? [scalar] : scalar
  }
  if (many === 'never') {
    report({ code: 'repeated', message: 'must not be given more than once' })
    return value
  }
  return value.map((element) => readScalar(element, as, report))
}

function readScalar(value: unknown, as: Scalar, report: Report): unknown {
  if (as === 'text' || typeof value !== 'string') return value
  if (as === 'boolean' && (value === 'true' || value === 'false')) return value === 'true'
  if (as === 'number' && NUMBER.test(value) && Number.isFinite(Number(value))) return Number(value)
  report({ code: 'invalid_type', message: as === 'number' ? 'must be a number' : 'must be true or false' })
  return value
}

const BRANCHES = ['allOf', 'anyOf', 'oneOf'] as const

/** All properties that a value may have, whichever branch it takes. */
function propertiesOf(schema: JsonSchema, references: References, depth = 0): Record<string, JsonSchema> {
  const target = references.follow(schema)
  // Schemas may refer to themselves.
  if (!target || depth > 8) return {}
  const inherited = branchesOf(target).map((branch) => propertiesOf(branch, references, depth + 1))
  return Object.assign({}, ...inherited, target['properties']) as Record<string, JsonSchema>
}

function readingOf(schema: unknown, references: References): Reading {
  const target = isJsonSchema(schema) ? references.follow(schema) : undefined
  if (!target) return { as: 'text', many: 'either' }
  const types = typesOf(target, references)
  const scalars = new Set([...types].filter((type) => type !== 'array' && type !== 'null'))
  if (types.has('array')) {
    const items = readingOf(target['items'], references)
    return { as: items.as, many: scalars.size === 0 ? 'always' : 'either' }
  }
  return { as: scalarOf(scalars), many: types.size === 0 ? 'either' : 'never' }
}

function scalarOf(types: ReadonlySet<string>): Scalar {
  const kinds = new Set([...types].map((type) => (type === 'integer' ? 'number' : type)))
  if (kinds.size !== 1) return 'text'
  return kinds.has('number') ? 'number' : kinds.has('boolean') ? 'boolean' : 'text'
}

/** The JSON types that a schema allows, as far as it names them; empty when it allows anything. */
function typesOf(schema: JsonSchema, references: References): Set<string> {
  const { type, enum: values } = schema
  if (typeof type === 'string') return new Set([type])
  if (Array.isArray(type)) return new Set(type as string[])
  if (Array.isArray(values)) return new Set(values.map((value) => (value === null ? 'null' : typeof value)))
  if ('const' in schema) return new Set([typeof schema['const']])
  const branches = branchesOf(schema).map((branch) => references.follow(branch))
  return new Set(branches.flatMap((branch) => (branch && !('anyOf' in branch) ? [...typesOf(branch, references)] : [])))
}

function branchesOf(schema: JsonSchema): readonly JsonSchema[] {
  return BRANCHES.flatMap((name) => (schema[name] ?? []) as readonly JsonSchema[]).filter(isJsonSchema)
}
