/** `keelson migrate` and `keelson migrate status`: a process of its own, with the configuration of the service. */
import { configError, resolveConfig } from '../../app/config/index.ts'
import type { Service } from '../../app/index.ts'
import { createDatabase, migrate as applyMigrations, migrationStatus, type Database } from '../../postgres/index.ts'
import type { Command } from '../command.ts'
import { withVariables } from '../development.ts'
import { embeddedDatabase } from '../embedded-database.ts'
import { createProgress } from '../progress.ts'
import { UsageError } from '../usage-error.ts'

export const migrate: Command = {
  usage: 'migrate [status] [--development] [--env-file FILE] [service file]',
  about: [
    'Applies the pending migrations of the service, each in a transaction, under a lock: two at once are safe.',
    'With `status` it only tells which are applied and which are pending, and exits with 1 if any is pending.',
  ].join('\n'),
  options: {},
  optionHelp: {},
  async run(given) {
    const wantsStatus = given.positionals[0] === 'status'
    const invocation = wantsStatus ? given.shift() : given
    const service = await invocation.loadService()
    const { migrations } = service
    if (!migrations) throw new UsageError(`the service ${service.name} has no migrations`)
    await using embedded =
      invocation.mode === 'development' ? await embeddedDatabase(invocation.environment, createProgress()) : undefined
    const environment = embedded ? withVariables(invocation.environment, { DATABASE_URL: embedded.url }) : invocation.environment
    const { DATABASE_URL: url } = resolveConfig({ environment, mode: invocation.mode }).settings
    if (!url) throw configError(['DATABASE_URL is required'])
    await using database = createDatabase({ url, max: 2, applicationName: `${service.name} migrate` })
    return wantsStatus ? showStatus(database, migrations) : apply(database, migrations, service)
  },
}

async function apply(database: Database, folder: URL, service: Service): Promise<number> {
  const { applied } = await applyMigrations(database, { folder })
  for (const name of applied) console.log(`applied ${name}`)
  if (applied.length === 0) console.log(`nothing to do: the schema of ${service.name} is up to date`)
  return 0
}

async function showStatus(database: Database, folder: URL): Promise<number> {
  const { applied, pending, unknown } = await migrationStatus(database, { folder })
  for (const name of applied) console.log(`applied  ${name}`)
  for (const name of pending) console.log(`pending  ${name}`)
  for (const name of unknown) console.log(`unknown  ${name}   (applied by newer code)`)
  return pending.length === 0 ? 0 : 1
}
