/** What a Redis connection says about itself, on the channel `keelson:redis`. */

export type RedisEvent =
  /** Commands are answered from now on. */
  | { readonly type: 'connection.ready'; readonly source: string }
  /** The connection was lost or could not be made; another try follows by itself. `reason` carries no address. */
  | { readonly type: 'connection.failed'; readonly source: string; readonly reason: string }
  /** `close()` was called. */
  | { readonly type: 'connection.closed'; readonly source: string }

export const REDIS_CHANNEL = 'keelson:redis'
