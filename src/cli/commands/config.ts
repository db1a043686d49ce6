/** `keelson config`: what the service would run with, and where each value comes from. */
import { describeConfig, resolveConfig } from '../../app/config/index.ts'
import type { Command } from '../command.ts'
import { withDevelopmentKey } from '../development.ts'
import { table } from '../table.ts'

export const config: Command = {
  usage: 'config [--development] [--env-file FILE] [service file]',
  about: 'Shows every setting: its effective value (secrets masked), where it comes from, and what it means.',
  options: {},
  optionHelp: {},
  async run(invocation) {
    const service = await invocation.loadService()
    const environment = invocation.mode === 'development' ? withDevelopmentKey(invocation.environment) : invocation.environment
    // A database is not demanded here: in development `start` brings one.
    const needs = { env: service.env, database: service.migrations !== undefined && invocation.mode === 'production' }
    const resolved = resolveConfig({ environment, mode: invocation.mode, needs })
    console.log(`${service.name}, ${invocation.mode}\n`)
    console.log(table(describeConfig(resolved).map(({ name, value, origin, about }) => [name, value, origin, about])))
    return 0
  },
}
