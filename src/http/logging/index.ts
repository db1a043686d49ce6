/** `keelson/http/logging`: one safe, redacted JSON line per request, and a logger that never gets in the way. */
export { logging, LOGGING_DEFAULTS, type LoggingOptions } from './plugin.ts'
export {
  createLogger,
  LOGGER_DEFAULTS,
  type LineWriter,
  type LoggerOptions,
  type LogLevel,
  type ServiceLogger,
} from './logger.ts'
export { createDestination, DESTINATION_DEFAULTS, type Destination, type DestinationOptions } from './destination.ts'
export { destinations, type DestinationSnapshot } from '../../core/log-destinations.ts'
export { LOGGING_CHANNEL, type LogFailed, type LoggingEvent, type LogOverflowed, type LogRecovered } from './events.ts'
export { logEvents } from './log-events.ts'
