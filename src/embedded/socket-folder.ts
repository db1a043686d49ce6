/**
 * The private folder with the unix socket. A socket's path ends at 107 bytes on Linux and 103 on macOS (unix(7), sun_path),
 * so a data folder far down the tree gets one in the system's folder for temporary files.
 */
import { chownSync, lstatSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { Account } from './account.ts'

export interface SocketFolder extends Disposable {
  /** Absolute; what clients give as `host`. */
  readonly path: string
  readonly socketPath: string
}

const MAX_PATH_BYTES = process.platform === 'darwin' ? 103 : 107

/** A part of the socket's file name only, as no network port is opened. */
export const POSTGRES_PORT = 5432

/** As seen from the cluster's folder: short, and never in need of passing through the folders above. */
export const SOCKET_FOLDER_FOR_POSTGRES = '../socket'

/** Whoever calls this holds the data folder, so what a killed server left there is void. */
export function makeSocketFolder(dataFolder: string, account: Account | undefined): SocketFolder {
  const own = join(dataFolder, 'socket')
  removeSocketFolder(own)
  const path = Buffer.byteLength(socketIn(own)) <= MAX_PATH_BYTES ? own : makeTempFolder()
  if (path === own) mkdirSync(own, { mode: 0o700 })
  else symlinkSync(path, own)
  if (account) chownSync(path, account.uid, account.gid)
  return { path, socketPath: socketIn(path), [Symbol.dispose]: () => removeSocketFolder(own) }
}

/** By mkdtemp(3), which never takes a folder that somebody else has prepared. */
function makeTempFolder(): string {
  const folder = tmpdir().length > '/tmp'.length ? '/tmp' : tmpdir()
  return mkdtempSync(join(folder, TEMP_PREFIX))
}

const TEMP_PREFIX = 'keelson-socket-'

/** The link is ours, but what it leads to need not be: another program may have the name by now. */
function removeSocketFolder(own: string): void {
  const found = lstatSync(own, { throwIfNoEntry: false })
  if (found?.isSymbolicLink()) {
    const target = readlinkSync(own)
    const owner = lstatSync(target, { throwIfNoEntry: false })?.uid
    const ours = owner === lstatSync(dirname(own)).uid && basename(target).startsWith(TEMP_PREFIX)
    if (ours) rmSync(target, { recursive: true, force: true })
  }
  rmSync(own, { recursive: true, force: true })
}

function socketIn(folder: string): string {
  return join(folder, `.s.PGSQL.${POSTGRES_PORT}`)
}
