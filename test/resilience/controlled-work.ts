/** Work that a test ends when it likes, and short ways to make the outcomes that matter. */
import { KeelsonError } from '../../src/core/errors.ts'
import type { AttemptContext, Pipeline } from '../../src/resilience/index.ts'
import type { ManualClock } from '../../src/testing/manual-clock.ts'

export interface StartedWork {
  readonly context: AttemptContext
  succeed(value?: string): void
  fail(error?: unknown): void
}

/** A function to guard; `started` lists its calls. It ignores its signal. */
export class ControlledWork {
  readonly started: StartedWork[] = []

  readonly run = (context: AttemptContext): Promise<string> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    this.started.push({ context, succeed: (value = 'done') => resolve(value), fail: (error = down()) => reject(error) })
    return promise
  }

  get last(): StartedWork {
    return this.started.at(-1)!
  }
}

export const down = (): KeelsonError => new KeelsonError('TEST_DOWN', 'unavailable', 'down')

export const refusedByPeer = (): Error => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })

export const never = (): Promise<never> => new Promise(() => {})

/** Runs `fn` and swallows its error. */
export const outcome = (pipeline: Pipeline, fn: () => unknown): Promise<unknown> =>
  pipeline.run(async () => fn()).catch((error: unknown) => error)

export const succeed = (): string => 'ok'

export const fail = (): never => {
  throw down()
}

export async function times(n: number, fn: () => Promise<unknown>): Promise<void> {
  for (let i = 0; i < n; i++) await fn()
}

/** Opens the breaker of `pipeline`, which must have the default `minCalls`. */
export async function open(pipeline: Pipeline): Promise<void> {
  await times(20, () => outcome(pipeline, fail))
}

/** Opens it and lets the open time pass, so that the next call is a probe. */
export async function nearlyHalfOpen(pipeline: Pipeline, clock: ManualClock): Promise<void> {
  await open(pipeline)
  await clock.advance(6_000)
}
