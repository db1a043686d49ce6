/**
 * Rules for schemas of input. Two schemas of a few lines can stop a process: `uniqueItems` compares objects pairwise
 * (20,000 of them, 200 KB, take a minute), and a nested quantifier tries exponentially many ways to fail.
 * Of bodies it is also asked that they name every member: an unknown one is a mistake of the caller, or an attempt.
 */
import { pointerOf } from './json-limits.ts'
import { isJsonSchema, type JsonSchema, type References } from './json-schema.ts'

export interface LintFinding {
  readonly pointer: string
  readonly problem: string
}

interface Place {
  readonly schema: JsonSchema
  readonly path: readonly PropertyKey[]
  /** Whether a schema around it, for the same value, already refuses unknown names. */
  readonly closed: boolean
}

/** Keywords with one schema, or a list or a map of them, for values within the value. */
const FOR_PARTS = ['items', 'prefixItems', 'contains', 'properties', 'patternProperties', 'additionalProperties'] as const
/** The same for the value itself. */
const FOR_ITSELF = ['allOf', 'anyOf', 'oneOf', 'if', 'then', 'else', 'dependentSchemas'] as const

/** @param mustBeClosed whether objects must refuse names that they don't declare. */
export function lintSchema(root: JsonSchema, references: References, mustBeClosed: boolean): LintFinding[] {
  const findings: LintFinding[] = []
  const seen = new Set<JsonSchema>()
  const waiting: Place[] = [{ schema: root, path: [], closed: false }]
  for (let place = waiting.pop(); place; place = waiting.pop()) {
    const target = references.follow(place.schema)
    if (!target || seen.has(target)) continue
    seen.add(target)
    const at = { ...place, schema: target }
    const closed = place.closed || refusesUnknown(target)
    const problems = [...dangers(target, references), ...(mustBeClosed && !closed && isOpenObject(target) ? [NOT_STRICT] : [])]
    findings.push(...problems.map((problem) => ({ pointer: pointerOf(place.path), problem })))
    waiting.push(...below(at, FOR_PARTS, false), ...below(at, FOR_ITSELF, closed))
  }
  return findings
}

const NOT_STRICT = 'an object that accepts unknown names; use z.strictObject(…), or additionalProperties: false'

function refusesUnknown(schema: JsonSchema): boolean {
  return schema['additionalProperties'] === false || schema['unevaluatedProperties'] === false
}

/** An object with members, or one that says nothing of them; a map whose values have a schema of their own is neither. */
function isOpenObject(schema: JsonSchema): boolean {
  const { type, properties, propertyNames, patternProperties, additionalProperties: others } = schema
  const isObject = type === 'object' || (Array.isArray(type) && type.includes('object')) || properties !== undefined
  if (!isObject) return false
  const isMap = properties === undefined && (propertyNames !== undefined || patternProperties !== undefined)
  const othersAreChecked = isJsonSchema(others) && Object.keys(others).length > 0
  return !isMap && !othersAreChecked
}

function dangers(schema: JsonSchema, references: References): string[] {
  const found: string[] = []
  if (schema['uniqueItems'] === true && schema['maxItems'] === undefined && !hasScalarItems(schema, references)) {
    found.push('uniqueItems on elements that are not scalars needs maxItems')
  }
  const { pattern } = schema
  if (typeof pattern === 'string' && NESTED_QUANTIFIER.test(pattern)) {
    found.push('the pattern repeats a repetition, which takes exponential time to fail')
  }
  return found
}

/** `(a+)+` and its kin: a group that is nothing but a repeated atom, repeated. Never what was meant. */
const NESTED_QUANTIFIER = /\((?:\?:|\?<\w+>)?(?:\[(?:[^\]\\]|\\.)*\]|\\.|[^()[\]\\|*+?])(?:[*+]|\{\d+,\})\??\)(?:[*+]|\{\d+,\})/

const SCALARS: ReadonlySet<unknown> = new Set(['string', 'number', 'integer', 'boolean', 'null'])

function hasScalarItems(schema: JsonSchema, references: References): boolean {
  const items = isJsonSchema(schema['items']) ? references.follow(schema['items']) : undefined
  if (!items) return false
  const { type } = items
  return Array.isArray(items['enum']) || (Array.isArray(type) ? type.every((one) => SCALARS.has(one)) : SCALARS.has(type))
}

/** Keywords whose value maps names to schemas. */
const MAPS: ReadonlySet<string> = new Set(['properties', 'patternProperties', 'dependentSchemas'])

function below({ schema, path }: Place, keywords: readonly string[], closed: boolean): Place[] {
  return keywords.flatMap((keyword) => {
    const value = schema[keyword]
    if (!isJsonSchema(value) && !Array.isArray(value)) return []
    const single = isJsonSchema(value) && !MAPS.has(keyword)
    const entries: [PropertyKey[], unknown][] = single
      ? [[[keyword], value]]
      : Object.entries(value).map(([name, inner]) => [[keyword, name], inner])
    return entries.flatMap(([steps, inner]) =>
      isJsonSchema(inner) ? [{ schema: inner, path: [...path, ...steps], closed }] : [],
    )
  })
}
