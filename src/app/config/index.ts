/** Configuration comes from the environment alone (https://12factor.net/config), checked whole before anything starts. */
export { describeConfig, type DescribedSetting } from './describe.ts'
export { Environment, readEnvFile, type EnvFile, type Variables } from './environment.ts'
export { configError, resolveConfig, workerCount, type Config, type ResolveOptions, type ServiceNeeds } from './resolve.ts'
export { SETTINGS, SETTING_NAMES, type LogLevel, type Mode, type SettingName, type Settings } from './settings.ts'
