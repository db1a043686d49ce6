/**
 * Where log lines go: buffered, in whole lines of at most 4,096 bytes per write, so that processes sharing a pipe never
 * mix theirs (POSIX `PIPE_BUF`). A full disk, a closed pipe or a reader that stopped costs lines, which are counted;
 * never memory without bound, an error, a wait or a late exit.
 */
import { systemClock, type Clock } from '../../core/clock.ts'
import { destinations, type DestinationSnapshot } from '../../core/log-destinations.ts'
import { atLeast, integerAtLeast, nonEmptyString, resolveOptions } from '../../core/options.ts'
import { createEmitter, type Listener } from '../../core/telemetry.ts'
import { cutLine } from './cut-line.ts'
import { LOGGING_CHANNEL, type LoggingEvent } from './events.ts'
import { openSink, type Sink } from './sink.ts'

export interface DestinationOptions {
  /** Names the destination in events and metrics. Default: `'stdout'`. */
  readonly name: string
  /** The descriptor written to. Default: 1. */
  readonly fd: number
  /** How long a line waits for others to be written with, in milliseconds; what a SIGKILL may cost. Default: 20. */
  readonly flushMs: number
  /** Buffered bytes that are written without waiting. Default: 16_384. */
  readonly flushBytes: number
  /** Buffered bytes beyond which lines are dropped. Default: 4_194_304. */
  readonly maxBufferBytes: number
  /** Longest that the last flush may hold up the process's exit, in milliseconds. Default: 200. */
  readonly exitFlushMs: number
  /** Default: the system's. */
  readonly clock: Clock
  /** Receives this destination's events, besides the `keelson:logging` channel. Default: none. */
  readonly onEvent: Listener<LoggingEvent> | undefined
}

export const DESTINATION_DEFAULTS: DestinationOptions = {
  name: 'stdout',
  fd: 1,
  flushMs: 20,
  flushBytes: 16_384,
  maxBufferBytes: 4_194_304,
  exitFlushMs: 200,
  clock: systemClock,
  onEvent: undefined,
}

/** What pino asks of a destination, and a way to look inside. */
export interface Destination extends Disposable {
  write(line: string): void
  /** Writes what can be written without waiting. */
  flushSync(): void
  snapshot(): DestinationSnapshot
}

/** Largest write that a pipe takes as a whole or not at all on Linux. */
const MAX_WRITE_BYTES = 4_096
const BEHIND_RETRY_MS = 10
const FAILED_RETRY_MS = 500

/** Flushed when the process exits; disposing flushes too, and leaves the descriptor open. */
export function createDestination(given?: Partial<DestinationOptions>): Destination {
  const options = resolveOptions('destination', DESTINATION_DEFAULTS, given, {
    name: nonEmptyString,
    fd: integerAtLeast(0),
    flushMs: atLeast(0),
    flushBytes: integerAtLeast(1),
    maxBufferBytes: integerAtLeast(MAX_WRITE_BYTES),
    exitFlushMs: atLeast(0),
  })
  return new BufferedDestination(options, openSink(options.fd))
}

class BufferedDestination implements Destination {
  readonly #options: DestinationOptions
  readonly #sink: Sink
  readonly #emit: Listener<LoggingEvent>
  readonly #registered: Disposable
  readonly #onExit = (): void => this.#drain(this.#options.exitFlushMs)

  /** Whole lines, joined up to the size of one write; the last is still growing. */
  readonly #chunks: string[] = []
  #lastChunkBytes = 0
  /** What a write left over, or failed to take. */
  #rest: Buffer | undefined
  #bufferedBytes = 0
  #inFlight = false
  #closed = false
  #timer: Disposable | undefined

  #acceptedLines = 0
  #droppedLines = 0
  #unreportedDrops = 0
  #failure: string | undefined

  constructor(options: DestinationOptions, sink: Sink) {
    this.#options = options
    this.#sink = sink
    this.#emit = createEmitter<LoggingEvent>(LOGGING_CHANNEL, options.onEvent)
    this.#registered = destinations.add({ name: options.name, snapshot: () => this.snapshot() })
    process.on('exit', this.#onExit)
  }

  write(given: string): void {
    let line = given
    let bytes = Buffer.byteLength(line)
    if (bytes > MAX_WRITE_BYTES) {
      line = cutLine(line, MAX_WRITE_BYTES)
      bytes = Buffer.byteLength(line)
    }
    if (this.#closed || this.#bufferedBytes + bytes > this.#options.maxBufferBytes) return this.#drop()
    this.#acceptedLines++
    this.#append(line, bytes)
    if (this.#failure === undefined && this.#bufferedBytes >= this.#options.flushBytes) this.#pump()
    else this.#pumpAfter(this.#options.flushMs)
  }

  #append(line: string, bytes: number): void {
    this.#bufferedBytes += bytes
    const last = this.#chunks.length - 1
    if (last >= 0 && this.#lastChunkBytes + bytes <= MAX_WRITE_BYTES) {
      this.#chunks[last] += line
      this.#lastChunkBytes += bytes
    } else {
      this.#chunks.push(line)
      this.#lastChunkBytes = bytes
    }
  }

  #drop(): void {
    this.#droppedLines++
    if (this.#unreportedDrops++ > 0) return
    const { name: source } = this.#options
    this.#emit({ type: 'log.overflowed', source, bufferedBytes: this.#bufferedBytes, reason: this.#failure })
  }

  #pumpAfter(ms: number): void {
    if (this.#closed) return
    this.#timer ??= this.#options.clock.after(ms, () => {
      this.#timer = undefined
      this.#pump()
    })
  }

  /** Writes chunk after chunk until nothing is left, the sink is busy, or it refuses. */
  #pump(): void {
    let refused = false
    while (!refused && !this.#inFlight && !this.#closed) {
      const chunk = this.#take()
      if (!chunk) return
      let returned = false
      this.#inFlight = true
      this.#sink.write(chunk, (error, written) => {
        this.#settle(chunk, error, written)
        refused = error !== null
        // A sink that answers at once is served by this loop, not by ever deeper calls.
        if (returned && !refused) this.#pump()
      })
      returned = true
    }
  }

  #take(): Buffer | undefined {
    const rest = this.#rest
    this.#rest = undefined
    if (rest) return rest
    const next = this.#chunks.shift()
    return next === undefined ? undefined : Buffer.from(next)
  }

  #settle(chunk: Buffer, error: NodeJS.ErrnoException | null, written: number): void {
    this.#inFlight = false
    this.#keepRest(chunk, written)
    if (error) return this.#retry(error.code ?? error.name)
    this.#failure = undefined
    if (this.#unreportedDrops > 0 && this.#bufferedBytes < this.#options.maxBufferBytes / 2) this.#reportDrops()
  }

  #keepRest(chunk: Buffer, written: number): void {
    this.#bufferedBytes -= written
    if (written < chunk.length) this.#rest = chunk.subarray(written)
  }

  #retry(code: string): void {
    const behind = code === 'EAGAIN'
    if (!behind && code !== this.#failure) this.#emit({ type: 'log.failed', source: this.#options.name, code })
    this.#failure = code
    this.#pumpAfter(behind ? BEHIND_RETRY_MS : FAILED_RETRY_MS)
  }

  #reportDrops(): void {
    const dropped = this.#unreportedDrops
    this.#unreportedDrops = 0
    this.#emit({ type: 'log.recovered', source: this.#options.name, dropped })
  }

  flushSync(): void {
    // Behind a write in the thread pool, anything written now would overtake it.
    if (!this.#inFlight) this.#drain(0)
  }

  /**
   * Waits for a reader that is behind, at most `ms` in all; gives up on any other failure. What the thread pool has
   * in hand stays there: it is written before the process is gone, and must not be written twice.
   */
  #drain(ms: number): void {
    const { clock } = this.#options
    const endsAt = clock.now() + ms
    for (let chunk = this.#take(); chunk; chunk = this.#take()) {
      const outcome = this.#writeNow(chunk)
      if (outcome === 'failed' || (outcome === 'behind' && clock.now() >= endsAt)) return
      if (outcome === 'behind') pauseThread(1)
    }
  }

  #writeNow(chunk: Buffer): 'written' | 'behind' | 'failed' {
    try {
      this.#keepRest(chunk, this.#sink.writeSync(chunk))
      return 'written'
    } catch (error) {
      this.#keepRest(chunk, 0)
      return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? 'behind' : 'failed'
    }
  }

  snapshot(): DestinationSnapshot {
    return {
      name: this.#options.name,
      bufferedBytes: this.#bufferedBytes,
      acceptedLines: this.#acceptedLines,
      droppedLines: this.#droppedLines,
      failure: this.#failure,
    }
  }

  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#onExit()
    this.#closed = true
    this.#timer?.[Symbol.dispose]()
    this.#registered[Symbol.dispose]()
    process.off('exit', this.#onExit)
    this.#sink.close()
  }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4))

/** Only while the process exits, when no timer would fire any more. */
function pauseThread(ms: number): void {
  Atomics.wait(sleeper, 0, 0, ms)
}
