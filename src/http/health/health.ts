/** The public health answer, and the readiness that probes, supervisor and drain share. */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { systemClock, type Clock } from '../../core/clock.ts'
import { atLeast, nonEmptyString, resolveOptions } from '../../core/options.ts'
import { createHealthChecks, type HealthChecks } from './checks.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Readiness of this process: add checks, read the state. */
    readonly health: HealthChecks
  }
}

export interface HealthOptions {
  /** Version of the service, as shown in the answer. Default: `0.0.0`. */
  readonly version: string
  /** Where the answer is. Default: `/health`. */
  readonly path: string
  /** Pause between two runs of a check, in milliseconds. Default: 1_000. */
  readonly intervalMs: number
  /** Time for one run of a check, in milliseconds. Default: 1_000. */
  readonly timeoutMs: number
  /** Default: the system's. */
  readonly clock: Clock
}

export const HEALTH_DEFAULTS: HealthOptions = {
  version: '0.0.0',
  path: '/health',
  intervalMs: 1_000,
  timeoutMs: 1_000,
  clock: systemClock,
}

const ANSWER = {
  type: 'object',
  required: ['status', 'timestamp', 'version'],
  properties: {
    status: { type: 'string', enum: ['healthy', 'unhealthy'] },
    timestamp: { type: 'string', format: 'date-time' },
    version: { type: 'string' },
  },
} as const

async function healthPlugin(app: FastifyInstance, given: Partial<HealthOptions>): Promise<void> {
  const options = resolveOptions('health', HEALTH_DEFAULTS, given, {
    version: nonEmptyString,
    path: nonEmptyString,
    intervalMs: atLeast(1),
    timeoutMs: atLeast(1),
  })
  const checks = createHealthChecks(options)
  app.decorate('health', checks)
  app.addHook('onClose', async () => checks[Symbol.dispose]())

  app.get(options.path, {
    schema: {
      summary: 'Whether the service can serve',
      tags: ['health'],
      security: [],
      response: { 200: { description: 'Healthy', ...ANSWER }, 503: { description: 'Not ready', ...ANSWER } },
    } as object,
    config: { keelson: { auth: false, log: false } } as object,
    handler: async function health(_request, reply) {
      const { ready } = checks.state()
      return reply.code(ready ? 200 : 503).send({
        status: ready ? 'healthy' : 'unhealthy',
        timestamp: new Date(options.clock.wallNow()).toISOString(),
        version: options.version,
      })
    },
  })
}

/** Fastify plugin: `app.health` and `GET /health`. */
export const health: FastifyPluginAsync<Partial<HealthOptions>> = fp(healthPlugin, {
  name: 'keelson-http-health',
  fastify: '5.x',
})
