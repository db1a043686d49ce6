/** The front door: make a service, put it together, and tell its errors apart. */
export { createApp, defineService } from './app/index.ts'
export type {
  App,
  AppCacheOptions,
  AppPipelineOptions,
  CreateAppOptions,
  RegisterContext,
  Service,
  ServiceDefinition,
} from './app/index.ts'
export type { Deadline } from './core/deadline.ts'
export { isKeelsonError, KeelsonError, type ErrorKind, type FieldProblem, type KeelsonErrorOptions } from './core/errors.ts'
export { Secret } from './core/secret.ts'
export { uuidv7 } from './core/uuid.ts'
export { found } from './http/errors/index.ts'
