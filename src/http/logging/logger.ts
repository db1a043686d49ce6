/** A pino logger as an operator wants it: JSON lines on stdout that are short, redacted and never in the way. */
import { pino, type Logger } from 'pino'
import { systemClock, type Clock } from '../../core/clock.ts'
import { nonEmptyString, oneOf, optional, resolveOptions } from '../../core/options.ts'
import { createDestination, type Destination } from './destination.ts'
import { cut, redactor } from './redact.ts'
import { scrub } from './scrub.ts'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

export interface LoggerOptions {
  /** Names the service in each line. Default: `'service'`. */
  readonly name: string
  /** The service's version, in each line. Default: none. */
  readonly version: string | undefined
  /** Lines below this are not written. Default: `'info'`. */
  readonly level: LogLevel
  /** Field names that are masked besides the built-in ones, at any depth. Default: none. */
  readonly redact: readonly string[]
  /** Where lines go. Default: stdout, through `createDestination`, closed with the logger. */
  readonly destination: LineWriter | undefined
  /** Default: the system's. */
  readonly clock: Clock
}

/** What takes finished lines, e.g. a `Destination` or any Node stream. */
export interface LineWriter {
  write(line: string): unknown
}

export const LOGGER_DEFAULTS: LoggerOptions = {
  name: 'service',
  version: undefined,
  level: 'info',
  redact: [],
  destination: undefined,
  clock: systemClock,
}

export interface ServiceLogger extends Disposable {
  /** For Fastify's `loggerInstance`, and everywhere else. */
  readonly logger: Logger
  /** The destination made for it; absent when one was given. */
  readonly destination: Destination | undefined
}

/** A message is cut shorter than a line, so that the fields beside it survive. */
const MAX_MESSAGE_CHARS = 1_024

/** Disposing writes what is buffered, and closes a destination that was made here. */
export function createLogger(given?: Partial<LoggerOptions>): ServiceLogger {
  const { name, version, level, redact, clock, destination } = resolveOptions('logger', LOGGER_DEFAULTS, given, {
    name: nonEmptyString,
    version: optional(nonEmptyString),
    level: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
  })
  const own = destination ? undefined : createDestination({ clock, onEvent: (event) => reportDrops(event) })
  const logger = pino(
    {
      level,
      base: { service: name, ...(version === undefined ? {} : { version }), pid: process.pid },
      timestamp: isoTime(clock),
      formatters: { level: (label) => ({ level: label }), log: redactor(redact) },
      serializers: {
        msg: (message: unknown) => (typeof message === 'string' ? cut(message, MAX_MESSAGE_CHARS) : message),
        // Described by the redactor already; pino would take the description for another error.
        err: (error: unknown) => error,
      },
      hooks: { streamWrite: scrub },
    },
    destination ?? own,
  )

  function reportDrops(event: { readonly type: string; readonly dropped?: number }): void {
    if (event.type === 'log.recovered') logger.warn({ dropped: event.dropped }, 'log lines were dropped')
  }

  return { logger, destination: own, [Symbol.dispose]: () => own?.[Symbol.dispose]() }
}

/** pino's timestamp, made once per millisecond however many lines it takes. */
function isoTime(clock: Clock): () => string {
  let lastMs = -1
  let text = ''
  return () => {
    const now = clock.wallNow()
    if (now !== lastMs) {
      lastMs = now
      text = `,"time":"${new Date(now).toISOString()}"`
    }
    return text
  }
}
