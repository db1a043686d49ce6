/** A service is a value: what it is called, what it reads, what it serves. Making one has no effect. */
import type { z } from 'zod'
import { KeelsonError } from '../core/errors.ts'
import type { App } from './app.ts'
import type { Config } from './config/index.ts'

export interface RegisterContext<Env> {
  /** The service's own variables, parsed by its schema. */
  readonly env: Env
  readonly config: Config<Env>
}

export interface Service<Schema extends z.ZodObject = z.ZodObject> {
  /** Names the service in logs, metrics and the API document. */
  readonly name: string
  /** Shown by `/health` and in logs. Default: `0.0.0`. */
  readonly version: string
  /** One paragraph for the API document. */
  readonly description: string
  /** Variables beside Keelson's own; all problems are reported together at boot. */
  readonly env: Schema | undefined
  /** Folder of migrations; a service that has one needs a database. */
  readonly migrations: URL | undefined
  /** Adds routes, caches and pipelines to a Fastify instance that has every layer. */
  register(app: App, context: RegisterContext<z.output<Schema>>): void | Promise<void>
}

/** What a service must say of itself, and what it may. */
export type ServiceDefinition<Schema extends z.ZodObject> = Pick<Service<Schema>, 'name' | 'register'> & {
  readonly [Key in 'version' | 'description' | 'env' | 'migrations']?: Service<Schema>[Key] | undefined
}

/** @throws KeelsonError `KEELSON_CONFIG_INVALID` if the name isn't fit for logs, metrics and file names. */
export function defineService<Schema extends z.ZodObject = z.ZodObject>(definition: ServiceDefinition<Schema>): Service<Schema> {
  if (!/^[a-z][a-z0-9-]{0,62}$/.test(definition.name)) {
    const rule = 'must be lower-case letters, digits and dashes, beginning with a letter'
    throw new KeelsonError('KEELSON_CONFIG_INVALID', 'invalid', `defineService: \`name\` ${rule}, got ${String(definition.name)}`)
  }
  return Object.freeze({
    ...definition,
    version: definition.version ?? '0.0.0',
    description: definition.description ?? '',
    env: definition.env,
    migrations: definition.migrations,
  })
}
