/** Where values come from: the process environment, files named by `NAME_FILE`, and env files, in that order of weight. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { parseEnv } from 'node:util'

export type Variables = Readonly<Record<string, string | undefined>>

/** A value and where it was found, in words for `keelson config`. */
export interface Found {
  readonly value: string
  readonly origin: string
}

/** One file of variables; its values weigh less than those of any layer before it. */
export interface EnvFile {
  readonly path: string
  readonly variables: Variables
}

export class Environment {
  readonly #layers: readonly { readonly origin: string; readonly variables: Variables }[]

  constructor(env: Variables, files: readonly EnvFile[] = []) {
    this.#layers = [
      { origin: 'environment', variables: env },
      ...files.map(({ path, variables }) => ({ origin: path, variables })),
    ]
  }

  /** Names of all variables that have a value. */
  get names(): readonly string[] {
    return [...new Set(this.#layers.flatMap((layer) => Object.keys(layer.variables).filter((name) => layer.variables[name])))]
  }

  /** An empty value counts as none: `PORT=` in a compose file means "not set". */
  find(name: string): Found | undefined {
    for (const { origin, variables } of this.#layers) {
      const value = variables[name]
      if (value !== undefined && value !== '') return { value, origin }
    }
    return undefined
  }

  /** The variables of all layers as one, the weightier first; for handing on to a child process. */
  flatten(): Record<string, string> {
    return Object.fromEntries(this.names.map((name) => [name, this.find(name)!.value]))
  }
}

/**
 * Reads `NAME`, or the file that `NAME_FILE` names (without its last line break).
 * @throws Error with a sentence that begins with the variable's name.
 */
export function lookUp(environment: Environment, name: string): Found | undefined {
  const direct = environment.find(name)
  const file = environment.find(`${name}_FILE`)
  if (direct && file) throw new Error(`${name} and ${name}_FILE are both set; keep one`)
  if (direct || !file) return direct
  try {
    return { value: readBounded(file.value).replace(/\r?\n$/, ''), origin: `${name}_FILE ${file.value}` }
  } catch (error) {
    throw new Error(`${name}_FILE names ${file.value}, which cannot be read (${(error as NodeJS.ErrnoException).code})`, {
      cause: error,
    })
  }
}

const MAX_FILE_BYTES = 65_536

/** A setting is small; a name such as /dev/zero has no end. */
function readBounded(path: string): string {
  const file = openSync(path, 'r')
  try {
    const buffer = Buffer.alloc(MAX_FILE_BYTES + 1)
    let length = 0
    for (let read = -1; read !== 0 && length < buffer.length; length += read)
      read = readSync(file, buffer, length, buffer.length - length, null)
    if (length > MAX_FILE_BYTES) throw Object.assign(new Error('too large'), { code: 'EFBIG' })
    return buffer.toString('utf8', 0, length)
  } finally {
    closeSync(file)
  }
}

/** @throws Error naming the file, if it cannot be read. */
export function readEnvFile(path: string): EnvFile {
  try {
    return { path, variables: parseEnv(readFileSync(path, 'utf8')) }
  } catch (error) {
    throw new Error(`--env-file ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`, { cause: error })
  }
}
