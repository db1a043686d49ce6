/** The program of a worker process: the arbiter starts it with the service's path and the mode. */
import { Environment, type Mode } from '../app/config/index.ts'
import { runWorker } from '../supervisor/index.ts'
import { bootService } from './boot-service.ts'

const [servicePath = '', mode = 'production'] = process.argv.slice(2)

await runWorker((agent) =>
  bootService({ servicePath, mode: mode as Mode, environment: new Environment(process.env), single: false }, agent),
)
