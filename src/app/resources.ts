/** The backing services that the configuration names, as connections that fail fast and can be closed. */
import { createDatabase, type Database } from '../postgres/index.ts'
import { connectRedis, type RedisConnection } from '../redis/index.ts'
import type { Verifier } from '../http/auth/index.ts'
import type { Belongings } from './belongings.ts'
import type { Config } from './config/index.ts'
import { createTokenVerifier } from './tokens.ts'

/** Longer than what a cache waits: its own limit forgives a blocked event loop, and ioredis' does not. */
const REDIS_COMMAND_TIMEOUT_MS = 250

export interface Resources {
  readonly database: Database | undefined
  readonly redis: RedisConnection | undefined
  readonly verifier: Verifier
}

export interface ResourceNeeds {
  readonly serviceName: string
  readonly config: Config<unknown>
  /** Processes that share the machine's connections. */
  readonly processes: number
}

/** Neither has to be reachable: the service starts, says that it is not ready, and goes on trying. */
export async function openResources(
  { serviceName, config: { settings, mode }, processes }: ResourceNeeds,
  belongings: Belongings,
): Promise<Resources> {
  const { DATABASE_URL, REDIS_URL, DATABASE_POOL_TOTAL } = settings
  const verifier = belongings.add(createTokenVerifier(settings, mode === 'development'))
  const max = poolShare(DATABASE_POOL_TOTAL, processes)
  const database = DATABASE_URL
    ? belongings.add(createDatabase({ url: DATABASE_URL, max, applicationName: serviceName }))
    : undefined
  const redis = REDIS_URL
    ? belongings.add(await connectRedis({ url: REDIS_URL, name: serviceName, commandTimeoutMs: REDIS_COMMAND_TIMEOUT_MS }))
    : undefined
  return { database, redis, verifier }
}

/** The machine's connections divided by its processes; a process without any could do nothing. */
export function poolShare(total: number, processes: number): number {
  return Math.max(1, Math.floor(total / processes))
}
