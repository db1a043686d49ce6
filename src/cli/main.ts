#!/usr/bin/env node
/** `keelson`: reads the command line, runs one command, ends with its exit code. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { isKeelsonError } from '../core/errors.ts'
import { EXIT_CONFIG, EXIT_USAGE, type Command } from './command.ts'
import { commandHelp, COMMON_OPTIONS, generalHelp } from './help.ts'
import { Invocation } from './invocation.ts'
import { UsageError } from './usage-error.ts'

/** Loaded one at a time: `start` must not pay for, or depend on, what the others import. */
const COMMANDS: Readonly<Record<string, { readonly summary: string; load(): Promise<Command> }>> = {
  start: { summary: 'run the service: arbiter, workers, probes', load: async () => (await import('./commands/start.ts')).start },
  dev: { summary: 'run it for development and restart on change', load: async () => (await import('./commands/dev.ts')).dev },
  migrate: {
    summary: 'apply migrations, or show their status',
    load: async () => (await import('./commands/migrate.ts')).migrate,
  },
  check: {
    summary: 'boot without listening, and say what is wrong',
    load: async () => (await import('./commands/check.ts')).check,
  },
  config: { summary: 'show the effective configuration', load: async () => (await import('./commands/config.ts')).config },
  routes: { summary: 'list the routes with their policies', load: async () => (await import('./commands/routes.ts')).routes },
  openapi: { summary: 'print the OpenAPI document', load: async () => (await import('./commands/openapi.ts')).openapi },
  token: { summary: 'print a token for development', load: async () => (await import('./commands/token.ts')).token },
}

const SUMMARIES: ReadonlyMap<string, string> = new Map(Object.entries(COMMANDS).map(([name, { summary }]) => [name, summary]))

async function main([name, ...rest]: readonly string[]): Promise<number> {
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    console.log(generalHelp(SUMMARIES))
    return name === undefined ? EXIT_USAGE : 0
  }
  const entry = COMMANDS[name]
  if (!entry) throw new UsageError(`there is no command \`${name}\`; the commands are ${[...SUMMARIES.keys()].join(', ')}`)
  const command = await entry.load()
  const given = parse(command.options, rest)
  if (given.values['help'] === true) {
    console.log(commandHelp(command))
    return 0
  }
  const development = given.values['development'] === true || name === 'dev' || name === 'token'
  return command.run(new Invocation(given, development ? 'development' : 'production'))
}

function parse(options: ParseArgsOptionsConfig, args: readonly string[]): ConstructorParameters<typeof Invocation>[0] {
  try {
    return parseArgs({ args, options: { ...COMMON_OPTIONS, ...options }, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

const OTHER_PORT = 'Stop what listens there, or choose another port: PORT for the service, KEELSON_ADMIN_PORT for the probes.'

/** Errors that are the caller's to mend are told in sentences; anything else is ours, and keeps its stack. */
function explain(error: unknown): number {
  if (error instanceof UsageError) {
    console.error(`keelson: ${error.message}\nTry: keelson help`)
    return EXIT_USAGE
  }
  if (isKeelsonError(error, 'KEELSON_CONFIG_INVALID')) {
    console.error(`keelson: ${error.message}`)
    return EXIT_CONFIG
  }
  if (isKeelsonError(error, 'KEELSON_LISTEN_FAILED')) console.error(`keelson: ${error.message}\n${OTHER_PORT}`)
  else if (isKeelsonError(error)) console.error(`keelson: ${error.message}`)
  else console.error(error)
  return 1
}

// A service may have left something open, and must not keep a process alive that has said its exit code.
process.exit(await main(process.argv.slice(2)).catch(explain))
