/**
 * Writing to a descriptor without ever waiting for whoever reads it.
 *
 * Node puts a pipe on stdout into non-blocking mode only once `process.stdout` is used, and takes it back out when any
 * process that shares the pipe exits. So a pipe or terminal is opened anew where Linux allows it, which gives a mode of
 * our own; a socket is switched before each write. Anything else is written to in Node's thread pool.
 */
import { closeSync, constants, fstatSync, openSync, write, writeSync } from 'node:fs'
import { isatty } from 'node:tty'

export interface Sink {
  /** Writes what fits; `done` may be called before this returns. */
  write(chunk: Buffer, done: (error: NodeJS.ErrnoException | null, written: number) => void): void
  /** @throws the system's error, `EAGAIN` where the reader is behind. */
  writeSync(chunk: Buffer): number
  close(): void
}

export function openSink(fd: number): Sink {
  const kind = fstatSync(fd)
  if (kind.isFIFO() || isatty(fd)) {
    const own = reopened(fd)
    if (own !== undefined) return directSink(own, { beforeWrite() {}, close: () => closeSync(own) })
  }
  if (kind.isFIFO() || kind.isSocket()) {
    const unblock = unblocker(fd)
    if (unblock) return directSink(fd, { beforeWrite: unblock, close() {} })
  }
  return pooledSink(fd)
}

/** For descriptors that answer `EAGAIN` instead of waiting. */
function directSink(fd: number, hooks: { beforeWrite(): void; close(): void }): Sink {
  const writeNow = (chunk: Buffer): number => {
    hooks.beforeWrite()
    return writeSync(fd, chunk)
  }
  return {
    write(chunk, done) {
      let written = 0
      try {
        written = writeNow(chunk)
      } catch (error) {
        return done(error as NodeJS.ErrnoException, 0)
      }
      done(null, written)
    },
    writeSync: writeNow,
    close: () => hooks.close(),
  }
}

/** For files and devices, which may take their time. */
function pooledSink(fd: number): Sink {
  return {
    write: (chunk, done) => write(fd, chunk, done),
    writeSync: (chunk) => writeSync(fd, chunk),
    close() {},
  }
}

/** A second description of the same pipe or terminal; refused on other systems, and where another user made the pipe. */
function reopened(fd: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return undefined
  }
}

interface StdioHandle {
  setBlocking?(blocking: boolean): number
}

/** Node's own handle of stdout or stderr is the only way to change a descriptor's mode from JavaScript. */
function unblocker(fd: number): (() => void) | undefined {
  const stream = fd === 1 ? process.stdout : fd === 2 ? process.stderr : undefined
  const handle = (stream as { _handle?: StdioHandle } | undefined)?._handle
  if (!handle?.setBlocking) return undefined
  return () => void handle.setBlocking?.(false)
}
