/** A service file as something the supervisor can run, in a worker or in one process alone. */
import { createApp, migrateAtStart, type App } from '../app/index.ts'
import type { Environment, Mode } from '../app/config/index.ts'
import type { InvalidationBus, InvalidationMessage } from '../cache/index.ts'
import type { MetricSnapshot, MetricsSnapshot } from '../core/metrics-snapshot.ts'
import { logEvents } from '../http/logging/index.ts'
import type { WorkerAgent, WorkerService } from '../supervisor/index.ts'
import { importService } from './invocation.ts'

export interface BootOptions {
  readonly servicePath: string
  readonly mode: Mode
  readonly environment: Environment
  /** Whether this process serves for all: then pool and log are its own, and whoever starts it watches the events. */
  readonly single: boolean
}

/** The topic under which the workers of a machine tell each other what is no longer true. */
const INVALIDATIONS = 'cache.invalidated'

export async function bootService(
  { servicePath, mode, environment, single }: BootOptions,
  agent: WorkerAgent,
): Promise<WorkerService> {
  const service = await importService(servicePath)
  const app = await createApp(service, {
    env: environment,
    mode,
    processes: single ? 1 : undefined,
    bus: broadcastBus(agent),
  })
  const watching = single ? undefined : logEvents(app.log)
  app.addHook('onClose', async () => watching?.[Symbol.dispose]())
  try {
    if (mode === 'development' && service.migrations) await migrateAtStart(app, service.migrations)
    await app.ready()
  } catch (error) {
    await app.close()
    throw error
  }
  return {
    server: app.server,
    readiness: () => app.health.state(),
    metrics: reportOf(app),
    onDrain: () => void app.health.hold('draining'),
    close: () => app.close(),
  }
}

/** Our own figures are of this moment; those of a registry that was included answer later, and are of the last report. */
function reportOf({ metrics }: App): () => MetricsSnapshot {
  let included: readonly MetricSnapshot[] = []
  return function report() {
    void metrics.included().then((latest) => (included = latest))
    return metrics.snapshot(included)
  }
}

function broadcastBus(agent: WorkerAgent): InvalidationBus {
  return {
    publish: (message) => agent.broadcast(INVALIDATIONS, message),
    // Whatever else may come in is ignored by the caches themselves.
    subscribe: (listener) => agent.onBroadcast(INVALIDATIONS, (message) => listener(message as InvalidationMessage)),
  }
}
