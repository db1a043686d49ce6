/**
 * What belongs to one embedded Postgres, in one private folder:
 * `data` (the cluster), `data.new` (one being made), `socket`, `postgres.log`, `holder.json`, `binaries-*`.
 */
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, readFileSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import type { Account } from './account.ts'
import { embeddedError } from './errors.ts'

/**
 * Makes the folder, or makes sure that nobody else has a say in it.
 * @throws KeelsonError `KEELSON_EMBEDDED_FOLDER_UNUSABLE`
 */
export function prepareDataFolder(folder: string, account: Account | undefined): void {
  makeFolder(folder)
  const found = lstatSync(folder)
  if (!found.isDirectory()) throw unusable(folder, 'is not a folder')
  const wanted = account?.uid ?? process.getuid?.()
  if (found.uid !== wanted && !account) throw belongsToAnother(folder, found)
  if (account) chownSync(folder, account.uid, account.gid)
  if ((found.mode & 0o777) !== 0o700) chmodSync(folder, 0o700)
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw unusable(folder, `cannot be made: ${(error as Error).message}`)
  }
}

/**
 * Whether `data` holds a cluster that these binaries can run.
 * @throws KeelsonError `KEELSON_EMBEDDED_WRONG_VERSION`, or `KEELSON_EMBEDDED_FOLDER_UNUSABLE` when something else is there.
 */
export function hasCluster(folder: string, version: string, account: Account | undefined): boolean {
  const data = join(folder, 'data')
  const found = lstatSync(data, { throwIfNoEntry: false })
  if (!found) return false
  if (!found.isDirectory()) throw unusable(data, 'is not a folder')
  const foreign = found.uid !== (account?.uid ?? process.getuid?.())
  if (foreign && !account) throw belongsToAnother(data, found)
  const entries = readdirSync(data)
  if (entries.length === 0) return false
  if (foreign) throw belongsToAnother(data, found)
  if (!entries.includes('PG_VERSION')) throw unusable(data, 'holds something that is not a Postgres cluster')
  requireSameMajor(data, version)
  return true
}

function requireSameMajor(data: string, version: string): void {
  const made = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim()
  const major = version.split('.')[0] ?? ''
  if (made === major) return
  const remedy = `move it away to start with an empty one (pg_dump of a Postgres ${made} gets the data out), or set DATABASE_URL`
  throw embeddedError(
    'KEELSON_EMBEDDED_WRONG_VERSION',
    `${data} was made by Postgres ${made}, and this is ${version}; ${remedy}`,
    {
      data,
      made,
      version,
    },
  )
}

function belongsToAnother(path: string, { uid }: Stats): Error {
  return unusable(path, `belongs to another user (uid ${uid})`)
}

function unusable(path: string, problem: string): Error {
  const remedy = 'choose another folder, move this one away, or set DATABASE_URL'
  return embeddedError('KEELSON_EMBEDDED_FOLDER_UNUSABLE', `${path} ${problem}; ${remedy}`, { path })
}
