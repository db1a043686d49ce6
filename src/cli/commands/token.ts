/** `keelson token`: a signed token for trying things out in development. */
import { resolveConfig } from '../../app/config/index.ts'
import type { Command } from '../command.ts'
import { developmentToken, withDevelopmentKey } from '../development.ts'
import { inspect, scopesOf } from '../inspect.ts'
import { UsageError } from '../usage-error.ts'

export const token: Command = {
  usage: 'token [--sub ID] [--username NAME] [--scope "a b"] [service file]',
  about:
    'Prints a token that a service in development accepts, valid for twelve hours, with every scope that its routes ask for.',
  options: { sub: { type: 'string' }, username: { type: 'string' }, scope: { type: 'string' } },
  optionHelp: {
    sub: 'whom the token speaks for; ada if not given',
    username: 'the user name in it; the same as --sub if not given',
    scope: 'its scopes, separated by spaces; all if not given',
  },
  async run(invocation) {
    const environment = withDevelopmentKey(invocation.environment)
    if (environment.find('NODE_ENV')?.value === 'production') throw new UsageError('tokens are made for development only')
    const { settings } = resolveConfig({ environment, mode: 'development' })
    const sub = invocation.value('sub')
    const scopes = invocation.value('scope')?.split(' ').filter(Boolean)
    console.log(
      await developmentToken(settings, {
        sub,
        username: invocation.value('username') ?? sub,
        scopes: scopes ?? (await inspect(invocation, (app) => scopesOf(app.swagger()))),
      }),
    )
    return 0
  },
}
