/** The effective configuration as lines for a person: value, origin and meaning, secrets masked. */
import type { Config } from './resolve.ts'
import { SETTINGS, SETTING_NAMES } from './settings.ts'

export interface DescribedSetting {
  readonly name: string
  readonly value: string
  readonly origin: string
  readonly about: string
}

/** A service's own variable is shown masked if its name says that it is a secret. */
const SECRET_NAME = /SECRET|PASS|PWD|TOKEN|KEY|DSN|CREDENTIAL|SALT|PRIVATE|_UR[IL]$/

/** A URL with a password in it, whatever its variable is called. */
const WITH_PASSWORD = /:\/\/[^/@\s]*:[^/@\s]+@/

export function describeConfig(config: Config): readonly DescribedSetting[] {
  const own = SETTING_NAMES.map((name) => ({
    name,
    value: masked(config.settings[name], SETTINGS[name].secret === true),
    origin: config.origins[name] ?? 'default',
    about: SETTINGS[name].about,
  }))
  const service = Object.entries(config.service).map(([name, value]) => ({
    name,
    value: masked(value, SECRET_NAME.test(name)),
    origin: config.origins[name] ?? 'default',
    about: 'setting of the service',
  }))
  return [...own, ...service]
}

function masked(value: unknown, secret: boolean): string {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return '–'
  if (secret || (typeof value === 'string' && WITH_PASSWORD.test(value))) return '********'
  // A key in PEM has lines, which would break the table.
  return typeof value === 'string' && !value.includes('\n') ? value : JSON.stringify(value)
}
