/** Help texts, made from the same declarations that parse the command line. */
import type { ParseArgsOptionsConfig } from 'node:util'
import type { Command } from './command.ts'

export const COMMON_OPTIONS: ParseArgsOptionsConfig = {
  development: { type: 'boolean' },
  'env-file': { type: 'string', multiple: true },
  help: { type: 'boolean', short: 'h' },
}

const COMMON_HELP: Readonly<Record<string, string>> = {
  development: 'use development defaults (loopback, embedded Postgres, own signing key)',
  'env-file': 'file of NAME=value lines; weighs less than the environment; may be repeated',
  help: 'show this text',
}

export function generalHelp(summaries: ReadonlyMap<string, string>): string {
  return [
    'keelson: runs services made with defineService',
    '',
    'Usage: keelson <command> [options] [service file]',
    '',
    'Commands:',
    ...[...summaries].map(([name, summary]) => `  ${name.padEnd(10)}${summary}`),
    '',
    'Without a file, service.ts, src/service.ts, service.js and dist/service.js are tried.',
    'keelson <command> --help tells more. Settings come from the environment: keelson config --help.',
  ].join('\n')
}

export function commandHelp(command: Command): string {
  const help = { ...command.optionHelp, ...COMMON_HELP }
  return [
    `Usage: keelson ${command.usage}`,
    '',
    command.about,
    '',
    'Options:',
    ...Object.entries({ ...command.options, ...COMMON_OPTIONS }).map(([name, option]) => {
      const shown = option.type === 'string' ? `--${name} VALUE` : `--${name}`
      return `  ${shown.padEnd(22)}${help[name] ?? ''}`
    }),
  ].join('\n')
}
