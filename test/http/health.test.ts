import assert from 'node:assert/strict'
import { setImmediate as settle } from 'node:timers/promises'
import { test } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import { KeelsonError } from '../../src/core/errors.ts'
import {
  createHealthChecks,
  health,
  type HealthCheck,
  type HealthChecks,
  type HealthOptions,
} from '../../src/http/health/index.ts'
import { ManualClock } from '../../src/testing/index.ts'

const INTERVAL_MS = 1_000
const TIMEOUT_MS = 400

function checksOn(clock: ManualClock): HealthChecks {
  return createHealthChecks({ intervalMs: INTERVAL_MS, timeoutMs: TIMEOUT_MS, clock })
}

/** A dependency that is as well as it is told to be. */
class Patient implements HealthCheck {
  readonly name: string
  readonly critical: boolean
  readonly toleranceMs: number
  well = true
  runs = 0

  constructor(name: string, { critical = true, toleranceMs = 0 } = {}) {
    this.name = name
    this.critical = critical
    this.toleranceMs = toleranceMs
  }

  async check(): Promise<void> {
    this.runs++
    if (!this.well) throw new Error(`connect ECONNREFUSED ${this.name}.internal:5432 as root:hunter2`)
  }
}

async function appOn(clock: ManualClock, options: Partial<HealthOptions> = {}): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(health, { clock, intervalMs: INTERVAL_MS, timeoutMs: TIMEOUT_MS, ...options })
  return app
}

test('without checks a process is ready', () => {
  using checks = checksOn(new ManualClock())
  assert.deepEqual(checks.state(), { ready: true, reasons: [], degraded: [] })
})

test('a check counts as failing until its first result, which `settled` waits for', async () => {
  using checks = checksOn(new ManualClock())
  checks.add(new Patient('database'))
  assert.deepEqual(checks.state(), { ready: false, reasons: ['database: not checked yet'], degraded: [] })
  await checks.settled()
  assert.equal(checks.state().ready, true)
})

test('checks run in the background, at once and then every interval', async () => {
  const clock = new ManualClock()
  using checks = checksOn(clock)
  const database = new Patient('database')
  checks.add(database)
  await checks.settled()
  assert.equal(database.runs, 1)
  await clock.advance(3 * INTERVAL_MS)
  assert.equal(database.runs, 4)
  database.well = false
  assert.equal(checks.state().ready, true)
  await clock.advance(INTERVAL_MS)
  assert.equal(checks.state().ready, false)
  database.well = true
  await clock.advance(INTERVAL_MS)
  assert.equal(checks.state().ready, true)
})

test('what fails is told by name, and nothing of the error itself', async () => {
  using checks = checksOn(new ManualClock())
  const database = new Patient('database')
  database.well = false
  checks.add(database)
  const schema: HealthCheck = {
    name: 'schema',
    async check() {
      throw new KeelsonError('KEELSON_SCHEMA_BEHIND', 'unavailable', 'migrations are pending')
    },
  }
  checks.add(schema)
  await checks.settled()
  assert.deepEqual(checks.state().reasons, ['database: failing', 'schema: schema_behind'])
})

test('a failure is tolerated for its time, unless the thing was never well', async () => {
  const clock = new ManualClock()
  using checks = checksOn(clock)
  const database = new Patient('database', { toleranceMs: 2_500 })
  const never = new Patient('never', { toleranceMs: 60_000, critical: false })
  never.well = false
  checks.add(database)
  checks.add(never)
  await checks.settled()
  assert.deepEqual(checks.state(), { ready: true, reasons: [], degraded: ['never: failing'] })
  database.well = false
  await clock.advance(2_000)
  assert.equal(checks.state().ready, true)
  await clock.advance(1_000)
  assert.equal(checks.state().ready, false)
  database.well = true
  await clock.advance(INTERVAL_MS)
  assert.equal(checks.state().ready, true)
})

test('what is not critical degrades, and no more', async () => {
  using checks = checksOn(new ManualClock())
  const redis = new Patient('redis', { critical: false })
  redis.well = false
  checks.add(redis)
  await checks.settled()
  assert.deepEqual(checks.state(), { ready: true, reasons: [], degraded: ['redis: failing'] })
})

test('a check that hangs fails when its time is up, and runs again', async () => {
  const clock = new ManualClock()
  using checks = checksOn(clock)
  let runs = 0
  checks.add({
    name: 'hung',
    check: () => {
      runs++
      return new Promise(() => {})
    },
  })
  await clock.advance(TIMEOUT_MS)
  assert.deepEqual(checks.state().reasons, ['hung: deadline_exceeded'])
  await clock.advance(2 * INTERVAL_MS)
  assert.ok(runs >= 2)
})

test('a check that throws before it returns a promise is a check that fails', async () => {
  using checks = checksOn(new ManualClock())
  checks.add({
    name: 'broken',
    check: () => {
      throw new TypeError('not a function')
    },
  })
  await checks.settled()
  assert.deepEqual(checks.state().reasons, ['broken: failing'])
})

test('runs of one check never overlap, so that an old result cannot overwrite a new one', async () => {
  const clock = new ManualClock()
  using checks = createHealthChecks({ intervalMs: 100, timeoutMs: 1_000, clock })
  let running = 0
  let most = 0
  checks.add({
    name: 'slow',
    async check(signal) {
      most = Math.max(most, ++running)
      await clock.sleep(350, signal).finally(() => running--)
    },
  })
  await clock.advance(2_000)
  assert.equal(most, 1)
  assert.equal(checks.state().ready, true)
})

test('a hold makes the process unready, whatever the checks say, until it is let go', () => {
  using checks = checksOn(new ManualClock())
  const first = checks.hold('draining')
  const second = checks.hold('draining')
  assert.deepEqual(checks.state(), { ready: false, reasons: ['draining', 'draining'], degraded: [] })
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  assert.equal(checks.state().ready, false)
  second[Symbol.dispose]()
  assert.equal(checks.state().ready, true)
})

test('a check that was removed no longer counts, and its run is ended', async () => {
  const clock = new ManualClock()
  using checks = checksOn(clock)
  const signals: AbortSignal[] = []
  const removed = checks.add({
    name: 'slow',
    check: (signal) => {
      signals.push(signal)
      return clock.sleep(60_000, signal)
    },
  })
  await settle()
  removed[Symbol.dispose]()
  await settle()
  assert.equal(signals[0]?.aborted, true)
  assert.deepEqual(checks.state(), { ready: true, reasons: [], degraded: [] })
  assert.equal(clock.pendingTimers, 0)
})

test('disposing leaves no timer behind, also in the middle of a run', async () => {
  const clock = new ManualClock()
  const checks = checksOn(clock)
  checks.add(new Patient('one'))
  checks.add({ name: 'hung', check: () => new Promise(() => {}) })
  await settle()
  checks[Symbol.dispose]()
  await settle()
  assert.equal(clock.pendingTimers, 0)
  await clock.advance(10 * INTERVAL_MS)
  assert.equal(clock.pendingTimers, 0)
})

test('GET /health says healthy with a time and a version, and 503 unhealthy when not ready', async () => {
  const clock = new ManualClock(Date.UTC(2026, 10, 22))
  await using app = await appOn(clock, { version: '1.2.3' })
  const well = await app.inject('/health')
  assert.equal(well.statusCode, 200)
  assert.deepEqual(well.json(), { status: 'healthy', timestamp: '2026-11-22T00:00:00.000Z', version: '1.2.3' })
  const database = new Patient('database')
  database.well = false
  app.health.add(database)
  await app.health.settled()
  const ill = await app.inject('/health')
  assert.equal(ill.statusCode, 503)
  // No name of any dependency: the answer is public.
  assert.deepEqual(ill.json(), { status: 'unhealthy', timestamp: '2026-11-22T00:00:00.000Z', version: '1.2.3' })
})

test('a probe is answered from memory: however many come, no check runs for them', async () => {
  const clock = new ManualClock()
  await using app = await appOn(clock)
  const database = new Patient('database')
  app.health.add(database)
  app.health.add({ name: 'hung', critical: false, check: () => new Promise(() => {}) })
  await settle()
  const answers = await Promise.all(Array.from({ length: 50 }, () => app.inject('/health')))
  assert.ok(answers.every(({ statusCode }) => statusCode === 200))
  assert.equal(database.runs, 1)
})

test('closing the app ends the checks', async () => {
  const clock = new ManualClock()
  const app = await appOn(clock)
  app.health.add(new Patient('database'))
  await app.close()
  assert.equal(clock.pendingTimers, 0)
})

test('the path can be another, and options that cannot work are refused', async () => {
  await using app = await appOn(new ManualClock(), { path: '/up' })
  assert.equal((await app.inject('/up')).statusCode, 200)
  for (const options of [{ intervalMs: 0 }, { timeoutMs: -1 }, { path: '' }, { route: '/x' }]) {
    await assert.rejects(appOn(new ManualClock(), options as never), { code: 'KEELSON_CONFIG_INVALID' })
  }
})
