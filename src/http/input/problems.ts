/** What validators say, in the one form that clients see: where, which rule, a sentence. Never the value. */
import type { z } from 'zod'
import { KeelsonError, type FieldProblem } from '../../core/errors.ts'
import type { AjvError } from './fastify-compilers.ts'
import { pointerOf } from './json-limits.ts'

/** More tell a client nothing. */
const MAX_PROBLEMS = 50

const PART_POINTER: Readonly<Record<string, string>> = {
  body: '',
  querystring: '/query',
  params: '/params',
  headers: '/headers',
}

/** Where the parts of a request begin: the body at the root, the others below their name. */
export function partPointer(httpPart: string | undefined): string {
  return PART_POINTER[httpPart ?? ''] ?? ''
}

export function validationFailed(httpPart: string | undefined, problems: readonly FieldProblem[]): KeelsonError {
  const part = httpPart === 'querystring' ? 'query' : (httpPart ?? 'input')
  return new KeelsonError('KEELSON_VALIDATION_FAILED', 'invalid', `the ${part} is not valid`, {
    problems: problems.slice(0, MAX_PROBLEMS),
  })
}

/** All of Zod's issues, those about unknown names one by one. */
export function zodProblems(issues: readonly z.core.$ZodIssue[], data: unknown, prefix: string): FieldProblem[] {
  return issues.slice(0, MAX_PROBLEMS).flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => unknownName(prefix + pointerOf([...issue.path, key])))
    }
    const pointer = prefix + pointerOf(issue.path)
    if (issue.code === 'invalid_type' && isMissing(data, issue.path)) return [required(pointer)]
    return [{ pointer, code: issue.code, message: issue.message }]
  })
}

/** Ajv stops at the first error: to go on with a hostile text may cost more than the text is worth. */
export function ajvProblems(errors: readonly AjvError[] | null | undefined, prefix: string): FieldProblem[] {
  return (errors ?? []).map(({ instancePath, keyword, params, message = 'is not valid' }) => {
    const at = prefix + instancePath
    if (keyword === 'required') return required(at + pointerOf([String(params['missingProperty'])]))
    if (keyword === 'additionalProperties') return unknownName(at + pointerOf([String(params['additionalProperty'])]))
    return { pointer: at, code: keyword, message }
  })
}

function required(pointer: string): FieldProblem {
  return { pointer, code: 'required', message: 'is required' }
}

function unknownName(pointer: string): FieldProblem {
  return { pointer, code: 'unrecognized_key', message: 'is not a known name' }
}

function isMissing(data: unknown, path: readonly PropertyKey[]): boolean {
  let at: unknown = data
  for (const step of path) {
    if (typeof at !== 'object' || at === null) return false
    at = (at as Record<PropertyKey, unknown>)[step]
  }
  return at === undefined && path.length > 0
}
