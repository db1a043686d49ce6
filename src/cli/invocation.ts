/** One call of the command line: its options, mode and environment, and the service it is about. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Environment, readEnvFile, type EnvFile, type Mode } from '../app/config/index.ts'
import type { Service } from '../app/index.ts'
import { UsageError } from './usage-error.ts'

/** Where a service is looked for when none is named. */
const CANDIDATES = ['service.ts', 'src/service.ts', 'service.js', 'dist/service.js'] as const

export interface GivenOptions {
  readonly values: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>
  readonly positionals: readonly string[]
}

export class Invocation {
  readonly mode: Mode
  /** The process environment over the env files; in development `.env` of this folder is one of them. */
  readonly environment: Environment
  readonly #given: GivenOptions

  constructor(given: GivenOptions, mode: Mode) {
    this.#given = given
    this.mode = mode
    this.environment = new Environment(process.env, this.#envFiles())
  }

  /** First words after the command that aren't options. */
  get positionals(): readonly string[] {
    return this.#given.positionals
  }

  flag(name: string): boolean {
    return this.#given.values[name] === true
  }

  value(name: string): string | undefined {
    const value = this.#given.values[name]
    return typeof value === 'string' ? value : undefined
  }

  /** All values of an option that may be repeated. */
  values(name: string): readonly string[] {
    return [this.#given.values[name] ?? []].flat().map(String)
  }

  /** The same call with the first word taken off, for commands with words of their own (`migrate status`). */
  shift(): Invocation {
    return new Invocation({ ...this.#given, positionals: this.positionals.slice(1) }, this.mode)
  }

  /** @throws UsageError if no service is named and none of the usual files is there. */
  get servicePath(): string {
    const [named, ...rest] = this.positionals
    if (rest.length > 0) throw new UsageError(`one service file is enough, got ${this.positionals.join(' ')}`)
    const path = named ?? CANDIDATES.find((candidate) => existsSync(candidate))
    if (path === undefined) throw new UsageError(`name the service file; looked for ${CANDIDATES.join(', ')}`)
    if (!existsSync(path)) throw new UsageError(`there is no file ${path}`)
    return resolve(path)
  }

  loadService(): Promise<Service> {
    return importService(this.servicePath)
  }

  #envFiles(): readonly EnvFile[] {
    const named = this.values('env-file').map(readNamedFile)
    const implied = this.mode === 'development' && existsSync('.env') ? [readEnvFile('.env')] : []
    return [...named, ...implied]
  }
}

/** Node itself looks for the file first, and ends with 9 if it isn't there (https://github.com/nodejs/node/issues/54232). */
function readNamedFile(path: string): EnvFile {
  try {
    return readEnvFile(path)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/** @throws UsageError if the file's default export is not what `defineService` returns. */
export async function importService(path: string): Promise<Service> {
  const module = (await import(pathToFileURL(path).href)) as { readonly default?: Partial<Service> }
  const service = module.default
  if (typeof service?.name !== 'string' || typeof service.register !== 'function') {
    throw new UsageError(`${path} must \`export default defineService({ … })\``)
  }
  return service as Service
}
