/**
 * Puts a service together: one Fastify instance with every layer, in the order in which a request meets them.
 * It listens nowhere and changes nothing; it connects when it is made ready, and lets go of everything when it is closed.
 */
import Fastify, { LogController, type FastifyInstance } from 'fastify'
import type { z } from 'zod'
import type { InvalidationBus } from '../cache/index.ts'
import { invalidOption } from '../core/options.ts'
import { auth } from '../http/auth/index.ts'
import { conditional } from '../http/conditional/index.ts'
import { context, requestIdOptions } from '../http/context/index.ts'
import { REQUEST_ID_HEADER } from '../http/context/request-id.ts'
import { cors } from '../http/cors/index.ts'
import { database as databasePlugin } from '../http/database/index.ts'
import { deadline } from '../http/deadline/index.ts'
import { docs } from '../http/docs/index.ts'
import { errors } from '../http/errors/index.ts'
import { guard, serverOptions } from '../http/guard/index.ts'
import { headers } from '../http/headers/index.ts'
import { health } from '../http/health/index.ts'
import { input } from '../http/input/index.ts'
import { createLogger, logging, type LineWriter, type ServiceLogger } from '../http/logging/index.ts'
import { metrics } from '../http/metrics/index.ts'
import type { App } from './app.ts'
import { Belongings } from './belongings.ts'
import { Environment, resolveConfig, workerCount, type Config, type Mode, type Variables } from './config/index.ts'
import { addFacilities, type Surroundings } from './facilities.ts'
import { guardRequests } from './loader-guard.ts'
import { addRouteTable } from './route-table.ts'
import { openResources, type Resources } from './resources.ts'
import type { Service } from './service.ts'
import { refuseUnavailablePolicies } from './unavailable-policies.ts'
import { watchResources } from './watch-resources.ts'

export interface CreateAppOptions {
  /** Where settings come from, e.g. `process.env`; what is given here is all there is. */
  readonly env: Variables | Environment
  /** Default: `production`. */
  readonly mode?: Mode | undefined
  /** Processes that share `DATABASE_POOL_TOTAL` on this machine. Default: what `WORKERS` says. */
  readonly processes?: number | undefined
  /** Tells the machine's other processes what is no longer true. Default: there are none. */
  readonly bus?: InvalidationBus | undefined
  /** Whether the backing services are asked how they are; `false` to look at a service without disturbing them. Default: true. */
  readonly watch?: boolean | undefined
  /** Where log lines go. Default: stdout. */
  readonly logTo?: LineWriter | undefined
}

/**
 * @throws KeelsonError `KEELSON_CONFIG_INVALID` with all problems of the environment; what `service.register` throws;
 * at `ready()`: `KEELSON_POLICY_MISSING` for routes that do not say who may call them, `KEELSON_POLICY_REFUSED` for
 * those that ask for what is not there.
 */
export async function createApp<Schema extends z.ZodObject>(service: Service<Schema>, options: CreateAppOptions): Promise<App> {
  const environment = options.env instanceof Environment ? options.env : new Environment(options.env)
  const needs = { env: service.env, database: service.migrations !== undefined }
  const config = resolveConfig<z.output<Schema>>({ environment, mode: options.mode ?? 'production', needs })
  const belongings = new Belongings()
  let app: FastifyInstance | undefined
  try {
    const { logger } = belongings.add(loggerFor(service, config, options))
    const processes = options.processes ?? workerCount(config.settings)
    const resources = await openResources({ serviceName: service.name, config, processes }, belongings)
    app = buildServer(config, logger)
    // The first such hook is the last to run, so that those of the service still have everything.
    app.addHook('onClose', async () => belongings[Symbol.asyncDispose]())
    await addLayers(app, service, config, resources)
    if (options.watch !== false) watchResources(app, service, config.mode, resources)
    addFacilities(app, surroundingsOf(service, config, resources, options.bus), belongings)
    await app.register(async (scope) => service.register(scope as unknown as App, { env: config.service, config }))
    return app as unknown as App
  } catch (error) {
    // What went wrong first is what is told; a failure of the clean-up would only hide it.
    await app?.close().catch(() => {})
    await belongings[Symbol.asyncDispose]().catch(() => {})
    throw error
  }
}

function loggerFor(service: Service, { settings }: Config<unknown>, { logTo }: CreateAppOptions): ServiceLogger {
  return createLogger({ name: service.name, version: service.version, level: settings.LOG_LEVEL, destination: logTo })
}

function surroundingsOf(
  { name }: Service,
  { mode, settings }: Config<unknown>,
  { redis }: Resources,
  bus: InvalidationBus | undefined,
): Surroundings {
  const secret = settings.CURSOR_SECRET ?? settings.JWT_SECRET
  return { serviceName: name, redis, bus, development: mode === 'development', secret }
}

function buildServer({ settings }: Config<unknown>, logger: FastifyInstance['log']): FastifyInstance {
  const limits = serverOptions({
    requestTimeoutMs: settings.REQUEST_TIMEOUT_MS,
    keepAliveTimeoutMs: settings.KEEP_ALIVE_TIMEOUT_MS,
    bodyLimitBytes: settings.BODY_LIMIT_BYTES,
    trustProxy: settings.TRUST_PROXY === 0 ? false : settings.TRUST_PROXY,
  })
  return Fastify({
    ...limits,
    ...requestIdOptions(),
    // What the router refuses, no hook sees, so the id has to be set here.
    frameworkErrors: (error, request, reply) =>
      limits.frameworkErrors(error, request, reply.header(REQUEST_ID_HEADER, request.id)),
    loggerInstance: logger,
    // One line per request is the logging plugin's.
    logController: new LogController({ disableRequestLogging: true }),
  })
}

/** The first three give every later refusal its headers, its id and its line in the log. */
async function addLayers(app: FastifyInstance, service: Service, config: Config<unknown>, resources: Resources): Promise<void> {
  const { settings, mode } = config
  const development = mode === 'development'
  addRouteTable(app)
  refuseUnavailablePolicies(app)
  await app.register(errors)
  await app.register(headers)
  await app.register(context)
  await app.register(logging)
  await app.register(metrics)
  await app.register(guard, { allowedHosts: settings.ALLOWED_HOSTS })
  await app.register(cors, { origins: settings.CORS_ORIGINS })
  // More than one address: the request came through a proxy that is trusted to name the caller's.
  await app.register(deadline, { defaultMs: settings.DEADLINE_MS, trustCaller: ({ ips = [] }) => ips.length > 1 })
  await app.register(input)
  await app.register(conditional)
  await app.register(auth, { verifier: resources.verifier, demandPolicy: true })
  await app.register(docs, {
    title: service.name,
    version: service.version,
    description: service.description,
    serve: development,
  })
  await app.register(health, { version: service.version })
  if (resources.database) await app.register(databasePlugin, { database: resources.database })
  else addMissingDatabase(app)
  if (development) guardRequests(app)
}

/** A sentence instead of `Cannot read properties of undefined`. */
function addMissingDatabase(app: FastifyInstance): void {
  const getter = (): never => {
    throw invalidOption('configuration', 'DATABASE_URL', 'is needed for app.db and request.db', 'nothing')
  }
  app.decorate('db', { getter })
  app.decorateRequest('db', { getter })
}
