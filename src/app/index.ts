/** The floor that puts a service together. */
export type { App, AppCacheOptions, AppPipelineOptions } from './app.ts'
export type { RouteEntry } from './route-table.ts'
export { createApp, type CreateAppOptions } from './create-app.ts'
export { poolShare } from './resources.ts'
export { migrateAtStart } from './schema.ts'
export { defineService, type RegisterContext, type Service, type ServiceDefinition } from './service.ts'
