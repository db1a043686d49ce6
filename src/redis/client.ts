/**
 * The few Redis commands that Keelson sends. ioredis' own client satisfies this as it is, so the caller's can be passed;
 * any other needs an adapter of these six methods.
 */
export interface RedisClient {
  ping(): Promise<string>
  /** Seconds since the Unix epoch, and the microseconds of the current one. */
  time(): Promise<readonly (number | string)[]>
  mget(keys: string[]): Promise<(string | null)[]>
  unlink(keys: string[]): Promise<number>
  evalsha(sha1: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>
  eval(script: string, numberOfKeys: number, ...keysAndArguments: string[]): Promise<unknown>
}

/**
 * Whether the server itself said no, rather than the way to it: `OOM`, `READONLY`, `NOPERM`, `WRONGTYPE`.
 * By name, because the caller's client may come with its own copy of the class.
 */
export function isRedisReplyError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}
