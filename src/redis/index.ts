/** Redis: the commands Keelson needs, and a connection that never hangs. */
export { isRedisReplyError, type RedisClient } from './client.ts'
export {
  connectRedis,
  REDIS_DEFAULTS,
  redisConnections,
  type RedisConnection,
  type RedisConnectionOptions,
  type RedisOptions,
  type RedisSnapshot,
} from './connect.ts'
export { REDIS_CHANNEL, type RedisEvent } from './events.ts'
export { redisScript, type RedisScript } from './script.ts'
