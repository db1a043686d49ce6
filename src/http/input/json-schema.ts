/** Zod and JSON Schema side by side: which of them a schema is, and the latter's view of the former. */
import { z } from 'zod'
import { pointerOf } from './json-limits.ts'
import type { Schemas } from './fastify-compilers.ts'

export type ZodSchema = z.core.$ZodType
export type JsonSchema = Readonly<Record<string, unknown>>

/** Which way the data goes: what a client sends, or what it is sent. */
export type Direction = 'input' | 'output'

export function isZod(schema: unknown): schema is ZodSchema {
  return schema instanceof z.core.$ZodType
}

export function isJsonSchema(schema: unknown): schema is JsonSchema {
  return typeof schema === 'object' && schema !== null && !Array.isArray(schema)
}

/** What a serializer makes of these is well defined, although Zod has no JSON Schema for them. */
const SENT_AS: Readonly<Record<string, JsonSchema>> = {
  date: { type: 'string', format: 'date-time' },
  undefined: { type: 'null' },
  void: { type: 'null' },
}

interface Node {
  readonly zodSchema: ZodSchema
  readonly jsonSchema: Record<string, unknown>
  readonly path: readonly PropertyKey[]
}

/** @returns the schema as JSON Schema, `{}` where there is none, and the paths of those places. */
export function zodToJson(
  schema: ZodSchema,
  direction: Direction,
): { readonly json: JsonSchema; readonly lost: readonly string[] } {
  const lost: string[] = []
  const json = z.toJSONSchema(schema, {
    io: direction,
    unrepresentable: 'any',
    override(node) {
      const { zodSchema, jsonSchema, path } = node as Node
      const { type } = zodSchema._zod.def
      if (direction === 'output' && SENT_AS[type]) Object.assign(jsonSchema, SENT_AS[type])
      else if (isLost(zodSchema)) lost.push(pointerOf(path))
      if (direction === 'input' && isPreprocess(zodSchema)) for (const key of Object.keys(jsonSchema)) delete jsonSchema[key]
    },
  })
  return { json: json as JsonSchema, lost }
}

function isLost(schema: ZodSchema): boolean {
  return UNREPRESENTABLE.has(schema._zod.def.type) || isLostLiteral(schema)
}

/** What Zod itself refuses, but without saying where. */
const UNREPRESENTABLE: ReadonlySet<string> = new Set([
  'bigint',
  'symbol',
  'undefined',
  'void',
  'date',
  'nan',
  'custom',
  'function',
  'transform',
  'map',
  'set',
])

function isLostLiteral(schema: ZodSchema): boolean {
  const { type, values } = schema._zod.def as { readonly type: string; readonly values?: readonly unknown[] }
  return type === 'literal' && (values ?? []).some((value) => value === undefined || typeof value === 'bigint')
}

/** What goes into `z.preprocess` is anything: the schema behind it describes what its function makes of that. */
function isPreprocess(schema: ZodSchema): boolean {
  const { type, in: first } = schema._zod.def as { readonly type: string; readonly in?: ZodSchema }
  return type === 'pipe' && first?._zod.def.type === 'transform'
}

/** Where a document's `$ref` leads, as far as it can be followed. */
export class References {
  readonly #root: unknown
  readonly #known: Schemas

  /** @param known schemas by `$id`, as given to `app.addSchema`. */
  constructor(root: unknown, known: Schemas) {
    this.#root = root
    this.#known = known
  }

  /** @returns the schema itself, or the one that it refers to; `undefined` when that is unknown. */
  follow(schema: JsonSchema): JsonSchema | undefined {
    const ref = schema['$ref']
    if (typeof ref !== 'string') return schema
    const [id = '', fragment = ''] = ref.split('#')
    const document = id === '' ? this.#root : (this.#known[id] ?? this.#known[`${id}#`])
    const target = fragment.split('/').slice(1).reduce<unknown>(step, document)
    return isJsonSchema(target) ? target : undefined
  }
}

function step(at: unknown, name: string): unknown {
  if (typeof at !== 'object' || at === null) return undefined
  return (at as Record<string, unknown>)[name.replaceAll('~1', '/').replaceAll('~0', '~')]
}
