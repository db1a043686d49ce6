/** The Postgres that development brings along, where nothing else is configured and the package is there. */
import { join } from 'node:path'
import type { Environment } from '../app/config/index.ts'
import { isEmbeddedPostgresAvailable, startEmbeddedPostgres, type EmbeddedPostgres } from '../embedded/index.ts'
import { DEVELOPMENT_FOLDER } from './development.ts'
import type { Progress } from './progress.ts'

/** Relative to the folder that the service is run in. */
export const DATABASE_FOLDER: string = join(DEVELOPMENT_FOLDER, 'postgres')

/** @throws KeelsonError `KEELSON_EMBEDDED_*`; `signal.reason`. */
export async function embeddedDatabase(
  environment: Environment,
  progress: Progress,
  signal?: AbortSignal,
): Promise<EmbeddedPostgres | undefined> {
  const configured = environment.find('DATABASE_URL') ?? environment.find('DATABASE_URL_FILE')
  if (configured || !isEmbeddedPostgresAvailable()) return undefined
  return startEmbeddedPostgres({
    dataFolder: DATABASE_FOLDER,
    onProgress: (step) => progress.step(`Postgres: ${step}`),
    ...(signal ? { signal } : {}),
  })
}
