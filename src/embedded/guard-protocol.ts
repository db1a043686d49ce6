/** What the guard process is told when it starts, and what it says over its channel. */
import type { EmbeddedFailure } from './errors.ts'
import type { ProcessIdentity } from './process-identity.ts'

/** Given as JSON in the guard's only argument. */
export interface GuardOrder {
  /** Absolute; holds the cluster and everything else that belongs to it. */
  readonly dataFolder: string
  readonly database: string
  /** Absolute; the folder with `bin`, `lib` and `share`. */
  readonly binaries: string
  readonly durable: boolean
  /** Who asked for the server, for those who find the folder in use. */
  readonly owner: { readonly identity: ProcessIdentity; readonly command: string }
}

/** What takes a noticeable time, in the order in which it happens. */
export type EmbeddedStep = 'preparing binaries' | 'creating the database cluster' | 'starting' | 'ready'

export interface ServerFacts {
  readonly url: string
  /** As Postgres says it, e.g. `18.4`. */
  readonly version: string
  readonly firstStart: boolean
  /** The postmaster, the parent of all of Postgres' processes. */
  readonly postmaster: ProcessIdentity
}

export type GuardReport =
  | { readonly type: 'progressed'; readonly step: EmbeddedStep }
  | { readonly type: 'ready'; readonly facts: ServerFacts }
  | { readonly type: 'failed'; readonly failure: EmbeddedFailure }
