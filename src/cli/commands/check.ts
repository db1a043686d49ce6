/** `keelson check`: everything that a start does, except listening. */
import { createApp } from '../../app/index.ts'
import { workerCount, resolveConfig } from '../../app/config/index.ts'
import type { Command } from '../command.ts'
import { withDevelopmentKey, withVariables } from '../development.ts'
import { embeddedDatabase } from '../embedded-database.ts'
import { createProgress } from '../progress.ts'
import { workerText } from '../worker-text.ts'

export const check: Command = {
  usage: 'check [--development] [--env-file FILE] [service file]',
  about: [
    'Boots the service without listening: configuration, routes and their policies, schemas, backing services, schema',
    'version and connection limits. Exits with 78 if the configuration is wrong, with 1 if it would not become ready.',
  ].join('\n'),
  options: {},
  optionHelp: {},
  async run(invocation) {
    const development = invocation.mode === 'development'
    const keyed = development ? withDevelopmentKey(invocation.environment) : invocation.environment
    const service = await invocation.loadService()
    await using embedded = development ? await embeddedDatabase(keyed, createProgress()) : undefined
    const environment = embedded ? withVariables(keyed, { DATABASE_URL: embedded.url }) : keyed
    const app = await createApp(service, { env: environment, mode: invocation.mode })
    try {
      await app.ready()
      const { settings } = resolveConfig({ environment, mode: invocation.mode })
      const { reasons, degraded } = app.health.state()
      const tooMany =
        settings.DATABASE_URL && (await app.db.checkPoolFits({ total: settings.DATABASE_POOL_TOTAL }).catch(() => undefined))
      const problems = [...reasons, ...(tooMany ? [tooMany] : [])]
      for (const problem of problems) console.log(`problem   ${problem}`)
      for (const one of degraded) console.log(`degraded  ${one}`)
      const facts = `${app.routeTable.length} routes, ${workerText(workerCount(settings))}`
      console.log(
        problems.length === 0 ? `${service.name} ${service.version} would start: ${facts}` : `${service.name} would not be ready`,
      )
      return problems.length === 0 ? 0 : 1
    } finally {
      await app.close()
    }
  },
}
