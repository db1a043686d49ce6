/** The breaker as a state machine under random traffic: late results, calls that never end, callers that leave. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createPipeline, type Pipeline } from '../../src/resilience/index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { down, outcome, succeed, times } from './controlled-work.ts'

type Step =
  | { readonly op: 'start'; readonly n: number }
  | { readonly op: 'succeed' | 'fail' | 'leave'; readonly which: number }
  | { readonly op: 'wait'; readonly ms: number }
  | { readonly op: 'isolate' }
  | { readonly op: 'close' }

const starts = fc.record({ op: fc.constant('start' as const), n: fc.integer({ min: 1, max: 8 }) })
const ends = fc.record({ op: fc.constantFrom('succeed', 'fail', 'fail', 'fail', 'leave'), which: fc.nat(1_000) })
const waits = fc.record({ op: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 8_000 }) })
const byHand = fc.constantFrom({ op: 'isolate' as const }, { op: 'close' as const }, { op: 'close' as const })

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: starts },
  { weight: 20, arbitrary: ends },
  { weight: 4, arbitrary: waits },
  { weight: 1, arbitrary: byHand },
)

/** Long enough to open and half-open several times. */
const steps: fc.Arbitrary<Step[]> = fc.array(step, { minLength: 60, maxLength: 120 })
const draw: fc.Arbitrary<number> = fc.double({ min: 0, max: 0.99, noNaN: true })

interface Running {
  readonly startedIn: string
  readonly startedAt: number
  readonly caller: AbortController
  readonly end: (failed: boolean) => void
}

class Traffic {
  readonly clock = new ManualClock()
  readonly running: Running[] = []
  /** Grows with each change of state, so that a probe can be told from one of an earlier half-open time. */
  changes = 0
  /** How long a probe may take. */
  openMs = 0
  readonly pipeline: Pipeline

  constructor(random: () => number) {
    this.pipeline = createPipeline({
      name: 'fuzzed',
      breaker: { minCalls: 4 },
      clock: this.clock,
      random,
      onEvent: (event) => {
        const { type } = event
        if (type === 'breaker.opened') this.openMs = event.openMs
        if (type === 'breaker.opened' || type === 'breaker.half-opened' || type === 'breaker.closed') this.changes++
      },
    })
  }

  get state(): string {
    return `${this.pipeline.snapshot().breaker!.state} ${this.changes}`
  }

  /** Calls of this half-open time that still run and are not overdue. */
  get probes(): readonly Running[] {
    const now = this.clock.now()
    return this.running.filter((r) => r.startedIn === this.state && now < r.startedAt + this.openMs)
  }

  async take(s: Step): Promise<void> {
    if (s.op === 'start') for (let i = 0; i < s.n; i++) this.#start()
    else if (s.op === 'wait') await this.clock.advance(s.ms)
    else if (s.op === 'isolate') this.pipeline.isolate()
    else if (s.op === 'close') this.pipeline.close()
    else this.#end(s)
    await this.clock.advance(0)
  }

  #start(): void {
    const caller = new AbortController()
    const work = (): Promise<string> => {
      const { promise, resolve, reject } = Promise.withResolvers<string>()
      const end = (failed: boolean): void => (failed ? reject(down()) : resolve('ok'))
      this.running.push({ startedIn: this.state, startedAt: this.clock.now(), caller, end })
      return promise
    }
    void this.pipeline.run(work, { signal: caller.signal }).catch(() => {})
  }

  #end({ op, which }: { readonly op: 'succeed' | 'fail' | 'leave'; readonly which: number }): void {
    const [ended] = this.running.splice(which % (this.running.length || 1), 1)
    if (!ended) return
    if (op === 'leave') ended.caller.abort()
    else ended.end(op === 'fail')
  }
}

test('property: half-open never has more than five probes running, and knows each of them', async () => {
  let full = 0
  await fc.assert(
    fc.asyncProperty(steps, draw, async (taken, random) => {
      const traffic = new Traffic(() => random)
      for (const s of taken) {
        await traffic.take(s)
        if (!traffic.state.startsWith('half-open')) continue
        const { probing } = traffic.pipeline.snapshot().breaker!
        assert.ok(traffic.probes.length <= probing && probing <= 5)
        if (probing === 5) full++
      }
    }),
    { numRuns: 150 },
  )
  assert.ok(full > 0, 'the traffic must drive it that far')
})

test('property: never stuck: whatever happened before, time and successes close it', async () => {
  await fc.assert(
    fc.asyncProperty(steps, draw, async (taken, random) => {
      const traffic = new Traffic(() => random)
      for (const s of taken) await traffic.take(s)
      const { pipeline, clock } = traffic
      if (traffic.state.startsWith('isolated')) pipeline.close()
      // Twice: a first call after the pause may only find that the probes of before have expired, and reopen it.
      for (let i = 0; i < 2; i++) {
        await clock.advance(73_000)
        await times(5, () => outcome(pipeline, succeed))
      }
      assert.equal(pipeline.snapshot().breaker?.state, 'closed')
    }),
    { numRuns: 150 },
  )
})

test('property: results of calls from an earlier state never move the state', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }), async (taken, results) => {
      const traffic = new Traffic(() => 0.5)
      for (const s of taken) await traffic.take(s)
      const late = traffic.running.filter((r) => r.startedIn !== traffic.state)
      const before = traffic.state
      for (const [i, { end }] of late.entries()) {
        end(results[i % results.length]!)
        await traffic.clock.advance(0)
      }
      assert.equal(traffic.state, before)
    }),
    { numRuns: 100 },
  )
})
