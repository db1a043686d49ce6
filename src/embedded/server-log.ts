/** Postgres' own log: a file that is begun anew with each start, keeps one predecessor, and never grows without end. */
import { closeSync, constants, existsSync, openSync, readFileSync, renameSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { every, type Clock } from '../core/clock.ts'

const MAX_BYTES = 16 * 1024 * 1024
const CHECK_EVERY_MS = 60_000

export interface ServerLog extends Disposable {
  readonly path: string
  /** To be given to Postgres as its output. */
  readonly descriptor: number
  /** The last lines. */
  tail(): string
}

export function openServerLog(dataFolder: string, clock: Clock): ServerLog {
  const path = join(dataFolder, 'postgres.log')
  if (existsSync(path)) renameSync(path, `${path}.1`)
  const { O_WRONLY, O_CREAT, O_APPEND, O_EXCL } = constants
  // Appending, a writer goes on at the new end when the file is cut.
  const descriptor = openSync(path, O_WRONLY | O_CREAT | O_APPEND | O_EXCL, 0o600)
  const checking = every(clock, CHECK_EVERY_MS, () => {
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > MAX_BYTES) truncateSync(path)
  })
  return {
    path,
    descriptor,
    tail: () => (existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n').slice(-10).join('\n') : ''),
    [Symbol.dispose]() {
      checking[Symbol.dispose]()
      closeSync(descriptor)
    },
  }
}
