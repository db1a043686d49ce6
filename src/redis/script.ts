/** A Lua script that the server keeps by its hash: EVALSHA, and EVAL only where the server does not know it yet. */
import { createHash } from 'node:crypto'
import { isRedisReplyError, type RedisClient } from './client.ts'

export interface RedisScript {
  /** Runs atomically. `keys` are what it touches, `args` is the rest. */
  run(client: RedisClient, keys: readonly string[], args: readonly string[]): Promise<unknown>
}

export function redisScript(lua: string): RedisScript {
  const sha1 = createHash('sha1').update(lua).digest('hex')
  return {
    async run(client, keys, args) {
      try {
        return await client.evalsha(sha1, keys.length, ...keys, ...args)
      } catch (error) {
        // A restarted or failed-over server has lost its scripts.
        if (!(isRedisReplyError(error) && error.message.startsWith('NOSCRIPT'))) throw error
        return await client.eval(lua, keys.length, ...keys, ...args)
      }
    },
  }
}
