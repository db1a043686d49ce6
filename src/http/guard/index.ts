/** `keelson/http/guard`: limits for Fastify's constructor, and a hook that refuses ambiguous requests. */
export { guard, GUARD_DEFAULTS, type GuardOptions } from './guard.ts'
export { SERVER_DEFAULTS, serverOptions, type ServerLimits, type ServerOptions } from './server-options.ts'
