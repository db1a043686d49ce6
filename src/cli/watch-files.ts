/** Tells of changes in a folder: one for a burst, and none for what nobody wrote by hand. */
import { watch } from 'node:fs'
import { sep } from 'node:path'
import { systemClock, type Clock } from '../core/clock.ts'

export interface FileChanges extends Disposable {
  /** Resolves at the next change. */
  next(): Promise<'changed'>
}

/** An editor writes a file in several steps, and a checkout writes many. */
const SETTLE_MS = 100

const IGNORED = new Set(['node_modules', '.git', '.keelson', 'dist', 'coverage'])

export function watchFiles(folder: string, clock: Clock = systemClock): FileChanges {
  let change = Promise.withResolvers<'changed'>()
  let settling: Disposable | undefined
  const watcher = watch(folder, { recursive: true }, (_event, path) => {
    if (path?.split(sep).some((part) => IGNORED.has(part))) return
    settling?.[Symbol.dispose]()
    settling = clock.after(SETTLE_MS, () => {
      change.resolve('changed')
      change = Promise.withResolvers()
    })
  })
  return {
    next: () => change.promise,
    [Symbol.dispose]() {
      settling?.[Symbol.dispose]()
      watcher.close()
    },
  }
}
