/** The second level: entries in Redis, behind a guard. Nothing here throws: a failing Redis is a miss, or a deferred change. */
import { createHash, randomUUID } from 'node:crypto'
import { isRedisReplyError, type RedisClient } from '../redis/index.ts'
import { staleMs } from './entry.ts'
import { decode, encodeBody, type Envelope } from './envelope.ts'
import { L2Guard, within, type L2GuardOptions } from './l2-guard.ts'
import type { RefusalReason } from './events.ts'
import type { ResolvedCacheOptions } from './options.ts'
import { PendingInvalidations, type Change } from './pending-invalidations.ts'
import { ADVANCE, COMMIT, OPEN, STORE } from './scripts.ts'
import { weigh } from './weigh.ts'

/** An entry as Redis has it: still valid, maybe no longer fresh. */
export interface SharedEntry {
  readonly value: unknown
  readonly tags: readonly string[]
  /** Milliseconds of freshness left; negative for a stale one. */
  readonly freshMs: number
}

/** The right to store what is loaded from now on. */
export interface Ticket {
  readonly tokens: ReadonlyMap<string, string>
  /** Microseconds of Redis' clock. */
  readonly startedAt: string
}

export interface Fill {
  readonly value: unknown
  readonly tags: readonly string[]
  readonly ttlMs: number
}

/** Longer keys are stored under their hash. */
const MAX_VERBATIM_KEY = 200
/** Beyond the time a load may take, in milliseconds: what its token must outlive in addition. */
const TOKEN_SLACK_MS = 5_000
const KEYS_PER_COMMAND = 500

export class RedisLevel {
  readonly pending: PendingInvalidations = new PendingInvalidations()
  readonly #redis: RedisClient
  readonly #options: ResolvedCacheOptions
  readonly #guard: L2Guard
  readonly #onReplayed: (replayed: number) => void
  readonly #staleMs: number
  /** Redis' clock minus ours (monotonic), in milliseconds: machines don't have to agree on the time. */
  #aheadMs: number | undefined

  constructor(redis: RedisClient, options: ResolvedCacheOptions, listeners: RedisLevelListeners) {
    this.#redis = redis
    this.#options = options
    this.#onReplayed = listeners.onReplayed
    this.#staleMs = staleMs(options)
    const { clock, random, l2TimeoutMs: timeoutMs } = options
    this.#guard = new L2Guard({
      ...listeners,
      clock,
      random,
      timeoutMs,
      probe: () => this.#probe(),
      upToDate: () => this.pending.size === 0,
    })
  }

  get open(): boolean {
    return this.#guard.open
  }

  /** When a read that starts now must be done with Redis. */
  budget(): number {
    return this.#options.clock.now() + this.#options.l2TimeoutMs
  }

  /** The valid entries among `keys`, without any that Redis may be wrong about; `undefined` if it has not answered. */
  async read(keys: readonly string[], endsAt: number): Promise<ReadonlyMap<string, SharedEntry> | undefined> {
    const envelopes = await this.#guard.attempt(() => this.#readEnvelopes(keys), endsAt)
    if (!envelopes) return undefined
    const tags = [...new Set([...envelopes.values()].flatMap((envelope) => envelope.tags))]
    const versions = await this.#guard.attempt(() => this.#readVersions(tags), endsAt)
    // A probe may have begun meanwhile, and forgotten the server's time.
    if (!versions || this.#aheadMs === undefined) return undefined
    const found = new Map<string, SharedEntry>()
    const now = this.#options.clock.now() + this.#aheadMs
    for (const [key, { value, tags: own, versions: then, freshUntil, keptUntil }] of envelopes) {
      const valid = own.every((tag, i) => versions.get(tag) === then[i + 1])
      // Asked again after the round trips: an invalidation may have begun meanwhile.
      const trusted = !this.pending.concerns(key) && !this.pending.concernsAny(own)
      if (valid && trusted && now < keptUntil) found.set(key, { value, tags: own, freshMs: freshUntil - now })
    }
    return found
  }

  /** Takes a token for each key; `undefined` if nothing could be stored anyway. */
  async openLoad(keys: readonly string[], endsAt: number): Promise<Ticket | undefined> {
    const names = keys.map((key) => this.#entryName(key))
    const ttl = `${Math.ceil(this.#options.loadTimeoutMs + TOKEN_SLACK_MS)}`
    const args = [ttl, ...keys.map(() => randomUUID())]
    const reply = await this.#guard.attempt(() => OPEN.run(this.#redis, names, args), endsAt, isRedisReplyError)
    if (!isStrings(reply)) return undefined
    const [startedAt, ...tokens] = reply
    this.#aheadMs = Number(startedAt) / 1_000 - this.#options.clock.now()
    return { startedAt: startedAt!, tokens: new Map(keys.map((key, i) => [key, tokens[i]!])) }
  }

  /** What would be stored, or why it cannot be. */
  encode({ tags, value }: Fill): { readonly body: string } | { readonly refused: RefusalReason } {
    const { json, bytes } = weigh(value)
    if (!json) return { refused: 'not_json' }
    if (bytes === Infinity) return { refused: 'too_large' }
    const body = encodeBody(this.#options.schema, tags, value)
    if (body === undefined) return { refused: 'not_json' }
    return Buffer.byteLength(body) <= this.#options.l2MaxValueBytes ? { body } : { refused: 'too_large' }
  }

  /** `refused`: it was invalidated while it was loaded, here or elsewhere. `unknown`: Redis has not said. */
  async commit(key: string, ticket: Ticket, fill: Fill, body: string): Promise<'stored' | 'refused' | 'unknown'> {
    const token = ticket.tokens.get(key)
    if (!token || this.pending.concerns(key) || this.pending.concernsAny(fill.tags)) return 'unknown'
    const args = [token, ticket.startedAt, ...this.#lifetimes(fill), body]
    const write = (): Promise<unknown> => COMMIT.run(this.#redis, this.#names(key, fill.tags), args)
    // A server that is full or read-only can still be read.
    const reply = await this.#guard.attempt(write, this.budget(), isRedisReplyError)
    return reply === 1 ? 'stored' : reply === 0 ? 'refused' : 'unknown'
  }

  /**
   * Stores a value whatever is there, and voids the loads in flight. Returns whether Redis has confirmed that the old
   * value is gone: a server that is full takes no new one, but still deletes.
   */
  async store(key: string, fill: Fill, body: string): Promise<boolean> {
    const change: Change = { keys: [key], tags: [], clear: false }
    const args = [randomUUID(), '0', ...this.#lifetimes(fill), body]
    return await this.#tell(change, async () => {
      try {
        await STORE.run(this.#redis, this.#names(key, fill.tags), args)
      } catch (error) {
        if (!isRedisReplyError(error)) throw error
        await this.#apply(change)
      }
    })
  }

  /** Returns whether Redis has confirmed it; if not, it will be told again, and is not believed about it until then. */
  async invalidate(change: Change): Promise<boolean> {
    return await this.#tell(change, () => this.#apply(change))
  }

  stop(): void {
    this.#guard.stop()
  }

  async #tell(change: Change, write: () => Promise<unknown>): Promise<boolean> {
    const receipt = this.pending.add(change)
    const done = await this.#guard.attempt(async () => {
      await write()
      return true
    }, this.budget())
    if (done) this.pending.settle(change, receipt)
    else this.pending.keepBounded()
    return done ?? false
  }

  async #apply({ keys, tags, clear }: Change): Promise<void> {
    for (let i = 0; i < keys.length; i += KEYS_PER_COMMAND) {
      await this.#redis.unlink(keys.slice(i, i + KEYS_PER_COMMAND).map((key) => this.#entryName(key)))
    }
    const versions = [...tags.map((tag) => this.#tagName(tag)), ...(clear ? [this.#clearName()] : [])]
    const ttl = this.#versionTtl(this.#options.ttlMs + this.#staleMs)
    if (versions.length > 0) await ADVANCE.run(this.#redis, versions, [ttl])
  }

  /** Before Redis is believed again, it must have answered, and know everything that it missed. */
  async #probe(): Promise<void> {
    const { clock, l2TimeoutMs } = this.#options
    await within(clock, l2TimeoutMs, () => this.#redis.ping())
    // The server may be another one by now.
    this.#aheadMs = undefined
    const { change, receipt } = this.pending.all()
    const replayed = this.pending.size
    if (replayed === 0) return
    await within(clock, l2TimeoutMs * 10, () => this.#apply(change))
    this.pending.settle(change, receipt)
    this.#onReplayed(replayed)
  }

  async #readEnvelopes(keys: readonly string[]): Promise<ReadonlyMap<string, Envelope>> {
    const asked = this.#redis.mget([this.#clearName(), ...keys.map((key) => this.#entryName(key))])
    if (this.#aheadMs === undefined) await Promise.all([asked, this.#learnTime()])
    const [clearVersion, ...texts] = await asked
    const envelopes = new Map<string, Envelope>()
    for (const [i, text] of texts.entries()) {
      const envelope = text === null ? undefined : decode(text, this.#options.schema)
      if (envelope && envelope.versions[0] === clearVersion) envelopes.set(keys[i]!, envelope)
    }
    return envelopes
  }

  async #learnTime(): Promise<void> {
    const [seconds, micros] = await this.#redis.time()
    this.#aheadMs = Number(seconds) * 1_000 + Number(micros) / 1_000 - this.#options.clock.now()
  }

  async #readVersions(tags: readonly string[]): Promise<ReadonlyMap<string, string | null>> {
    if (tags.length === 0) return new Map()
    const versions = await this.#redis.mget(tags.map((tag) => this.#tagName(tag)))
    return new Map(tags.map((tag, i) => [tag, versions[i] ?? null]))
  }

  #names(key: string, tags: readonly string[]): readonly string[] {
    return [this.#entryName(key), this.#clearName(), ...tags.map((tag) => this.#tagName(tag))]
  }

  #lifetimes({ ttlMs }: Fill): readonly string[] {
    const keptMs = Math.max(1, Math.ceil(ttlMs + this.#staleMs))
    return [`${Math.ceil(ttlMs)}`, `${keptMs}`, this.#versionTtl(keptMs)]
  }

  /** A lost version only makes its entries misses, so twice the life of an entry is ample; but it must outlive any load. */
  #versionTtl(keptMs: number): string {
    return `${Math.ceil(Math.max(keptMs * 2, this.#options.loadTimeoutMs + TOKEN_SLACK_MS))}`
  }

  #entryName(key: string): string {
    // A key that looks like a hash is hashed too, so that nobody can name another's entry.
    const verbatim = key.length <= MAX_VERBATIM_KEY && !key.startsWith('~')
    const short = verbatim ? key : `~${createHash('sha256').update(key).digest('base64url')}`
    return `${this.#options.keyPrefix}{${this.#options.name}}:k:${short}`
  }

  #tagName(tag: string): string {
    return `${this.#options.keyPrefix}{${this.#options.name}}:t:${tag}`
  }

  #clearName(): string {
    return `${this.#options.keyPrefix}{${this.#options.name}}:clear`
  }
}

export interface RedisLevelListeners extends Pick<L2GuardOptions, 'onOpened' | 'onClosed'> {
  readonly onReplayed: (replayed: number) => void
}

function isStrings(reply: unknown): reply is readonly string[] {
  return Array.isArray(reply) && reply.every((item) => typeof item === 'string')
}
