/**
 * Finds a copy of the binaries that really runs, as the user that Postgres will run as; makes one if need be.
 * The package as installed may not do: its shared libraries are found through links that its install script makes,
 * which npm 12 and `ignore-scripts` block; or it lies where that user cannot go, e.g. below /root.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { POSTGRES_ENVIRONMENT, type Account } from './account.ts'
import { copyBinaries, makePassable } from './copy-binaries.ts'
import { embeddedError } from './errors.ts'

export interface RunnableBinaries {
  /** The folder with `bin`, `lib` and `share`. */
  readonly folder: string
  /** As Postgres says it, e.g. `18.4`. */
  readonly version: string
}

/**
 * @param dataFolder may hold the copy.
 * @throws KeelsonError `KEELSON_EMBEDDED_UNAVAILABLE` with what each place said, when none runs.
 */
export function findRunnableBinaries(source: string, dataFolder: string, account: Account | undefined): RunnableBinaries {
  const problems: string[] = []
  for (const [folder, make] of candidates(source, dataFolder, account)) {
    const problem = make()
    const outcome = problem ? { problem } : tryOut(folder, account)
    if ('version' in outcome) return { folder, version: outcome.version }
    problems.push(`${folder}: ${outcome.problem}`)
  }
  const message = `the Postgres binaries don't run here; set DATABASE_URL instead\n${problems.join('\n')}`
  throw embeddedError('KEELSON_EMBEDDED_UNAVAILABLE', message, { source })
}

type Candidate = readonly [folder: string, make: () => string | undefined]

function candidates(source: string, dataFolder: string, account: Account | undefined): readonly Candidate[] {
  const name = `binaries-${fingerprint(source)}`
  const inData = join(dataFolder, name)
  const inTemp = join(tmpdir(), `keelson-${process.getuid?.() ?? 0}-${name}`)
  return [
    [source, () => undefined],
    [inData, () => (reaches(account, dataFolder) ? replaceOthers(source, inData) : 'out of reach')],
    [inTemp, () => fill(source, inTemp)],
  ]
}

/** Another version, or another installation, gets another copy. */
function fingerprint(source: string): string {
  const { mtimeMs, size } = statSync(join(source, 'bin/postgres'))
  return createHash('sha256').update(`${source}\0${mtimeMs}\0${size}`).digest('hex').slice(0, 12)
}

/** Copies of other versions in the same place go: only one server at a time uses a data folder. */
function replaceOthers(source: string, folder: string): string | undefined {
  const others = readdirSync(dirname(folder)).filter((name) => name.startsWith('binaries-') && name !== basename(folder))
  for (const name of others) rmSync(join(dirname(folder), name), { recursive: true, force: true })
  return fill(source, folder)
}

/** @returns what stands against it: a folder that others could have filled, or can change, is never run. */
function fill(source: string, folder: string): string | undefined {
  try {
    makePassable(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return String(error)
  }
  const found = lstatSync(folder)
  if (!found.isDirectory() || found.uid !== process.getuid?.()) return `belongs to someone else (uid ${found.uid})`
  if ((found.mode & 0o022) !== 0) return 'others may write there'
  try {
    copyBinaries(source, folder)
  } catch (error) {
    return String(error)
  }
  return undefined
}

/** Whether `account` may pass through every folder on the way; root itself may always. */
function reaches(account: Account | undefined, folder: string): boolean {
  if (!account) return true
  const { uid, gid, mode } = statSync(folder)
  const executable = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001
  return (mode & executable) !== 0 && (dirname(folder) === folder || reaches(account, dirname(folder)))
}

function tryOut(folder: string, account: Account | undefined): { readonly version: string } | { readonly problem: string } {
  const run = spawnSync(join(folder, 'bin/postgres'), ['-V'], {
    cwd: '/',
    env: POSTGRES_ENVIRONMENT,
    encoding: 'utf8',
    ...account,
  })
  const version = /\d+(\.\d+)*/.exec(run.stdout ?? '')?.[0]
  if (run.status === 0 && version) return { version }
  return { problem: run.error?.message ?? (run.stderr.trim() || `ended with ${run.status ?? run.signal}`) }
}
