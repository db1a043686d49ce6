/** `keelson/http/health`: readiness as the sum of named checks, and the public `/health`. */
export { createHealthChecks, type HealthCheck, type HealthChecks, type HealthChecksOptions, type HealthState } from './checks.ts'
export { health, HEALTH_DEFAULTS, type HealthOptions } from './health.ts'
