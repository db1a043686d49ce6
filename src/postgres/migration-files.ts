/** The migrations that the code brings: files `NNNN-name.ts`, `.js` or `.sql` in one folder. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { KeelsonError } from '../core/errors.ts'
import type { Queryable } from './queryable.ts'

/** The database as a migration sees it: any table, because types describe the newest schema and not this one. */
export type MigrationDatabase = Queryable<Record<string, Record<string, unknown>>>

/** What a `.ts` or `.js` migration exports. */
export interface MigrationModule {
  up(db: MigrationDatabase): Promise<void>
  /** Give `false` for what can't run in one, such as `create index concurrently`. Default: true. */
  readonly transaction?: boolean
}

export interface MigrationFile {
  /** Without the extension, so that `.ts` in the sources and `.js` in the build are the same migration. */
  readonly name: string
  readonly file: string
  readonly url: URL
}

export interface LoadedMigration {
  readonly checksum: string
  readonly transaction: boolean
  /** The text of a `.sql` file, or what a module exports as `up`. */
  readonly work: string | MigrationModule['up']
}

const NAME = /^(?<name>(?<number>\d{4,})-[a-z0-9][a-z0-9_-]*)\.(?:ts|js|mjs|sql)$/
const LOOKS_LIKE_ONE = /\.(?:ts|js|mjs|sql)$/
const NOT_ONE = /\.d\.ts$/
/** In the first lines of a `.sql` file. */
const NO_TRANSACTION = /^--\s*transaction:\s*false\s*$/m

/** In order. @throws KeelsonError `KEELSON_MIGRATION_INVALID` for a file name that doesn't fit, or a number given twice. */
export async function listMigrations(folder: URL): Promise<readonly MigrationFile[]> {
  const base = new URL(folder.href.endsWith('/') ? folder.href : `${folder.href}/`)
  const names = (await readFolder(base)).filter((file) => LOOKS_LIKE_ONE.test(file) && !NOT_ONE.test(file))
  const byNumber = new Map<number, MigrationFile>()
  for (const file of names) {
    const { name, number } = NAME.exec(file)?.groups ?? {}
    if (!name) throw invalid(file, 'must be called NNNN-name, with four digits or more and lower case')
    const other = byNumber.get(Number(number))
    if (other) throw invalid(file, `has the number of ${other.file}`)
    byNumber.set(Number(number), { name, file, url: new URL(encodeURIComponent(file), base) })
  }
  return [...byNumber].toSorted(([a], [b]) => a - b).map(([, migration]) => migration)
}

/** Line ends and blanks at line ends don't count: git and editors change them. */
export async function checksumOf({ url }: MigrationFile): Promise<string> {
  const text = await readFile(url, 'utf8')
  return createHash('sha256')
    .update(text.replaceAll(/[ \t]*\r?\n/g, '\n'))
    .digest('hex')
}

/** @throws KeelsonError `KEELSON_MIGRATION_INVALID` for a module without `up`. */
export async function loadMigration(migration: MigrationFile): Promise<LoadedMigration> {
  const { file, url } = migration
  const checksum = await checksumOf(migration)
  if (file.endsWith('.sql')) {
    const work = await readFile(url, 'utf8')
    return { checksum, work, transaction: !NO_TRANSACTION.test(work) }
  }
  const { up, transaction = true } = (await import(url.href)) as Partial<MigrationModule>
  if (typeof up !== 'function') throw invalid(file, 'must export a function `up`')
  return { checksum, work: up, transaction }
}

async function readFolder(folder: URL): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (cause) {
    throw new KeelsonError('KEELSON_MIGRATION_INVALID', 'internal', `cannot read the folder of migrations: ${folder.pathname}`, {
      cause,
    })
  }
}

function invalid(file: string, rule: string): KeelsonError<'KEELSON_MIGRATION_INVALID'> {
  return new KeelsonError('KEELSON_MIGRATION_INVALID', 'internal', `migration ${file} ${rule}`, { details: { file } })
}
