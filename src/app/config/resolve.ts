/** From environment to configuration: every problem found at once, none with the value of a secret. */
import { availableParallelism } from 'node:os'
import type { z } from 'zod'
import { KeelsonError } from '../../core/errors.ts'
import { lookUp, type Environment, type Found } from './environment.ts'
import { findMisspelt } from './misspelt.ts'
import { Unparsable } from './parsers.ts'
import { KEY_SETTINGS, SETTINGS, SETTING_NAMES, type Mode, type Setting, type SettingName, type Settings } from './settings.ts'

/** What a service adds to Keelson's own settings. */
export interface ServiceNeeds {
  /** Its variables, beside Keelson's own. */
  readonly env?: z.ZodObject | undefined
  /** Whether it cannot do without `DATABASE_URL`. */
  readonly database: boolean
}

export interface Config<Env = Record<string, unknown>> {
  readonly mode: Mode
  readonly settings: Settings
  /** The service's own variables, parsed by its schema. */
  readonly service: Env
  /** Where each value came from: `default`, `environment`, a file. */
  readonly origins: Readonly<Record<string, string>>
}

export interface ResolveOptions {
  readonly environment: Environment
  readonly mode: Mode
  /** Without it, only what the arbiter itself needs is required. */
  readonly needs?: ServiceNeeds | undefined
}

/** @throws KeelsonError `KEELSON_CONFIG_INVALID` whose `details.problems` lists every problem as a sentence. */
export function resolveConfig<Env = Record<string, unknown>>({ environment, mode, needs }: ResolveOptions): Config<Env> {
  const reading = new Reading(environment)
  const settings = Object.fromEntries(SETTING_NAMES.map((name) => [name, reading.setting(name, mode)])) as unknown as Settings
  const service = needs?.env ? reading.serviceVariables(needs.env) : {}
  if (needs) reading.require(settings, mode, needs)
  reading.reportMisspelt(Object.keys(needs?.env?.shape ?? {}), needs !== undefined)
  if (reading.problems.length > 0) throw configError(reading.problems)
  return Object.freeze({ mode, settings: Object.freeze(settings), service: service as Env, origins: reading.origins })
}

/** The error for configuration as a whole; the CLI prints `details.problems`, one a line, and exits with 78. */
export function configError(problems: readonly string[]): KeelsonError<'KEELSON_CONFIG_INVALID'> {
  return new KeelsonError(
    'KEELSON_CONFIG_INVALID',
    'invalid',
    `the configuration has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n  ${problems.join('\n  ')}`,
    { details: { problems } },
  )
}

/** How many worker processes `WORKERS` asks for. */
export function workerCount({ WORKERS }: Settings): number {
  return WORKERS === 'auto' ? availableParallelism() : WORKERS
}

class Reading {
  readonly problems: string[] = []
  readonly origins: Record<string, string> = {}
  readonly #environment: Environment

  constructor(environment: Environment) {
    this.#environment = environment
  }

  setting<Name extends SettingName>(name: Name, mode: Mode): Settings[Name] {
    const setting: Setting<Settings[Name]> = SETTINGS[name]
    const found = this.#find(name)
    if (!found) {
      const inDevelopment = mode === 'development' && setting.inDevelopment !== undefined
      this.origins[name] = inDevelopment ? 'development default' : 'default'
      return inDevelopment ? setting.inDevelopment! : setting.byDefault
    }
    try {
      return setting.parse(found.value)
    } catch (error) {
      if (!(error instanceof Unparsable)) throw error
      this.problems.push(`${name} ${error.message}, got ${shown(found.value, setting.secret)}`)
      return setting.byDefault
    }
  }

  /** The service's schema sees text; it coerces or transforms as it likes. Values aren't repeated: they may be secrets. */
  serviceVariables(schema: z.ZodObject): unknown {
    const given: Record<string, string> = {}
    for (const name of Object.keys(schema.shape)) {
      const found = this.#find(name)
      if (found) given[name] = found.value
      else this.origins[name] = 'default'
    }
    const parsed = schema.safeParse(given)
    if (parsed.success) return parsed.data
    for (const issue of parsed.error.issues) {
      const name = issue.path.length > 0 ? issue.path.join('.') : 'the environment'
      const missing = issue.path.length === 1 && given[String(issue.path[0])] === undefined
      this.problems.push(missing ? `${name} is required` : `${name}: ${issue.message}`)
    }
    return {}
  }

  require(settings: Settings, mode: Mode, needs: ServiceNeeds): void {
    const keys = KEY_SETTINGS.filter((name) => settings[name] !== undefined)
    if (keys.length > 1) this.problems.push(`${keys.join(' and ')} are set; tokens are verified with exactly one of them`)
    if (keys.length === 0 && !this.#complainedAbout(KEY_SETTINGS))
      this.problems.push(`one of ${KEY_SETTINGS.join(', ')} is required`)
    if (needs.database && settings.DATABASE_URL === undefined && !this.#complainedAbout(['DATABASE_URL'])) {
      this.problems.push('DATABASE_URL is required')
    }
    if (mode === 'development') return
    for (const name of ['JWT_ISSUER', 'JWT_AUDIENCE'] as const) {
      if (settings[name] === undefined) this.problems.push(`${name} is required`)
    }
  }

  /** Only who knows the service's own names can tell that a name is strange. */
  reportMisspelt(serviceNames: readonly string[], complete: boolean): void {
    if (!complete) return
    for (const [name, meant] of findMisspelt(this.#environment.names, [...SETTING_NAMES, ...serviceNames])) {
      this.problems.push(meant ? `${name} is not a setting; did you mean ${meant}?` : `${name} is not a setting`)
    }
  }

  #find(name: string): Found | undefined {
    try {
      const found = lookUp(this.#environment, name)
      if (found) this.origins[name] = found.origin
      return found
    } catch (error) {
      this.problems.push((error as Error).message)
      return undefined
    }
  }

  #complainedAbout(names: readonly string[]): boolean {
    return this.problems.some((problem) => names.some((name) => problem.startsWith(name)))
  }
}

function shown(value: string, secret: boolean | undefined): string {
  return secret ? `a value of ${value.length} characters` : JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
}
