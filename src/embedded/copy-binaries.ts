/** Fills a folder with the binaries and with the links that the package's own install script would have made. */
import { randomBytes } from 'node:crypto'
import { chmodSync, constants, copyFileSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { readlinkSync, renameSync, statSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'

/** Only for building extensions and clients. */
const UNNEEDED = /^(?:pgxs|pkgconfig|include|.*\.a)$/

/** May be repeated, and may be interrupted: what is there is whole, what is missing is added. */
export function copyBinaries(source: string, folder: string): void {
  copyFolder(source, folder)
  for (const { source: file, target } of listedLinks(source)) {
    link(basename(file), join(folder, target.replace(/^native\//, '')))
  }
}

function copyFolder(source: string, folder: string): void {
  const present = new Set(readdirSync(folder))
  for (const entry of readdirSync(source, { withFileTypes: true })) {
    const [from, to] = [join(source, entry.name), join(folder, entry.name)]
    if (UNNEEDED.test(entry.name)) continue
    if (entry.isDirectory()) {
      if (!present.has(entry.name)) makePassable(to)
      copyFolder(from, to)
    } else if (present.has(entry.name)) continue
    else if (entry.isSymbolicLink()) link(readlinkSync(from), to)
    else copyFile(from, to)
  }
}

/** Whatever the umask, for Postgres may run as another user. */
export function makePassable(folder: string): void {
  mkdirSync(folder)
  chmodSync(folder, 0o755)
}

/** A hard link costs no space and no time; where there can be none, or with rights too narrow, a copy. */
function copyFile(from: string, to: string): void {
  const readable = (statSync(from).mode & 0o004) !== 0
  if (readable && hardLink(from, to)) return
  const draft = `${to}.${randomBytes(4).toString('hex')}`
  copyFileSync(from, draft, constants.COPYFILE_FICLONE)
  chmodSync(draft, statSync(from).mode & 0o100 ? 0o755 : 0o644)
  renameSync(draft, to)
}

function hardLink(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch {
    return false
  }
}

function link(value: string, path: string): void {
  try {
    symlinkSync(value, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

interface ListedLink {
  readonly source: string
  readonly target: string
}

/** The package lists its links, because npm's archives cannot hold any. */
function listedLinks(source: string): readonly ListedLink[] {
  const list = join(source, 'pg-symlinks.json')
  return existsSync(list) ? (JSON.parse(readFileSync(list, 'utf8')) as readonly ListedLink[]) : []
}
