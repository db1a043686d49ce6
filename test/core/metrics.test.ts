import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createMetrics, type MetricsTable } from '../../src/core/metrics.ts'
import { mergeSnapshots, type MetricsSnapshot, type MetricSnapshot } from '../../src/core/metrics-snapshot.ts'
import { renderPrometheus } from '../../src/core/prometheus.ts'
import { parsePrometheus, type ParsedFamily } from './prometheus-parser.ts'

function find(snapshot: MetricsSnapshot, name: string): MetricSnapshot {
  const metric = snapshot.metrics.find((each) => each.name === name)
  assert.ok(metric, `${name} is there`)
  return metric
}

function scrape(table: MetricsTable | MetricsSnapshot, name: string): ParsedFamily {
  const snapshot = 'metrics' in table ? table : table.snapshot()
  const family = parsePrometheus(renderPrometheus(snapshot)).get(name)
  assert.ok(family, `${name} is there`)
  return family
}

test('a cell is found by its label values, and counts', () => {
  const table = createMetrics()
  const jobs = table.counter({ name: 'jobs_total', help: 'Jobs.', labels: ['queue', 'result'] })
  const cell = jobs.child('mail', 'ok')
  cell.inc()
  cell.inc(2)
  assert.equal(jobs.child('mail', 'ok'), cell)
  jobs.child('mail', 'failed').inc()
  assert.deepEqual(scrape(table, 'jobs_total').samples, [
    { name: 'jobs_total', labels: { queue: 'mail', result: 'ok' }, value: 3 },
    { name: 'jobs_total', labels: { queue: 'mail', result: 'failed' }, value: 1 },
  ])
})

test('label values that only differ in where they are split are different series', () => {
  const table = createMetrics()
  const metric = table.counter({ name: 'a_total', help: 'A.', labels: ['x', 'y'] })
  assert.notEqual(metric.child('a', 'bc'), metric.child('ab', 'c'))
  assert.notEqual(metric.child('a,b', 'c'), metric.child('a', 'b,c'))
})

test('a histogram counts a value at its bound inside, and one above all bounds in +Inf', () => {
  const table = createMetrics()
  const cell = table.histogram({ name: 'took_seconds', help: 'Time.', buckets: [0.1, 1] }).child()
  for (const value of [0.05, 0.1, 0.5, 1, 1.0001, 50]) cell.observe(value)
  const samples = scrape(table, 'took_seconds').samples.map((sample) => [sample.name, sample.labels['le'], sample.value])
  assert.deepEqual(samples, [
    ['took_seconds_bucket', '0.1', 2],
    ['took_seconds_bucket', '1', 4],
    ['took_seconds_bucket', '+Inf', 6],
    ['took_seconds_sum', undefined, 0.05 + 0.1 + 0.5 + 1 + 1.0001 + 50],
    ['took_seconds_count', undefined, 6],
  ])
})

test('past its limit a metric counts under "other", and says so', () => {
  const table = createMetrics()
  const metric = table.counter({ name: 'hits_total', help: 'Hits.', labels: ['path'], maxSeries: 3 })
  for (let i = 0; i < 10_000; i++) metric.child(`/${i}`).inc()
  const { series } = find(table.snapshot(), 'hits_total')
  assert.deepEqual(
    series.map(({ labels, value }) => [labels[0], value]),
    [
      ['/0', 1],
      ['/1', 1],
      ['/2', 1],
      ['other', 9_997],
    ],
  )
  assert.deepEqual(find(table.snapshot(), 'metrics_series_folded_total').series, [{ labels: ['hits_total'], value: 9_997 }])
})

test('asking twice gives the same metric; another kind or shape under a taken name is refused', () => {
  const table = createMetrics()
  const first = table.counter({ name: 'a_total', help: 'A.', labels: ['x'] })
  assert.equal(table.counter({ name: 'a_total', help: 'A.', labels: ['x'] }), first)
  const refused = { code: 'KEELSON_CONFIG_INVALID' }
  assert.throws(() => table.counter({ name: 'a_total', help: 'A.', labels: ['y'] }), refused)
  table.histogram({ name: 'h', help: 'H.', buckets: [1] })
  assert.throws(() => table.histogram({ name: 'h', help: 'H.', buckets: [2] }), refused)
  assert.throws(() => table.gauge({ name: 'h', help: 'H.' }), refused)
})

test('names and labels that Prometheus or the merge would trip over are refused', () => {
  const table = createMetrics()
  const refused = { code: 'KEELSON_CONFIG_INVALID' }
  for (const name of ['', 'a', 'Has_total', 'has-dash_total', '1_total']) {
    assert.throws(() => table.counter({ name, help: 'H.' }), refused, name)
  }
  for (const name of ['a_total', 'a_count', 'a_sum', 'a_bucket'])
    assert.throws(() => table.gauge({ name, help: 'H.' }), refused, name)
  for (const label of ['le', 'quantile', 'worker', '__name', 'a-b', '']) {
    assert.throws(() => table.gauge({ name: 'a', help: 'H.', labels: [label] }), refused, label)
  }
  for (const buckets of [[], [2, 1], [1, 1], [1, Infinity], [Number.NaN]]) {
    assert.throws(() => table.histogram({ name: 'a', help: 'H.', buckets }), refused)
  }
  assert.throws(() => table.gauge({ name: 'a', help: '' }), refused)
  assert.throws(() => table.gauge({ name: 'a', help: 'H.', labels: ['x'] }).child(), TypeError)
})

test('what is read rather than counted is set at each snapshot, until disposed', () => {
  const table = createMetrics()
  const queue = table.gauge({ name: 'queue_length', help: 'Waiting.' }).child()
  let length = 3
  const reading = table.onCollect(() => queue.set(length))
  assert.equal(find(table.snapshot(), 'queue_length').series[0]?.value, 3)
  length = 5
  assert.equal(find(table.snapshot(), 'queue_length').series[0]?.value, 5)
  reading[Symbol.dispose]()
  length = 8
  assert.equal(find(table.snapshot(), 'queue_length').series[0]?.value, 5)
})

test('an included source is part of what is collected; its failure is not', async () => {
  const table = createMetrics()
  table.counter({ name: 'own_total', help: 'Own.' }).child().inc()
  const foreign = (name: string): MetricSnapshot => ({
    name,
    help: 'Foreign.',
    type: 'gauge',
    labels: [],
    aggregate: 'sum',
    series: [{ labels: [], value: 7 }],
  })
  table.include(async () => [foreign('theirs'), foreign('own_total')])
  table.include(() => {
    throw new Error('no')
  })
  const collected = await table.collect()
  assert.equal(find(collected, 'theirs').series[0]?.value, 7)
  assert.equal(collected.metrics.filter((metric) => metric.name === 'own_total').length, 1)
  assert.equal(find(collected, 'own_total').help, 'Own.')
})

test("included sources are asked without the table, so that a reader of its own that throws is nobody else's rejection", async () => {
  const table = createMetrics()
  table.onCollect(() => {
    throw new Error('a reader of the service')
  })
  table.include(() => {
    throw new Error('no')
  })
  assert.deepEqual(await table.included(), [])
  assert.throws(() => table.snapshot(), /a reader of the service/)
})

test('any label value and help text survives the text format', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ minLength: 1 }), (value, help) => {
      const table = createMetrics()
      const clean = value.replaceAll(/[\r\u2028\u2029]/g, '')
      table
        .gauge({ name: 'a', help: help.replaceAll('\r', ''), labels: ['x'] })
        .child(clean)
        .set(-1.5e-9)
      const family = scrape(table, 'a')
      assert.deepEqual(family.samples, [{ name: 'a', labels: { x: clean }, value: -1.5e-9 }])
      assert.equal(family.help, help.replaceAll('\r', ''))
    }),
  )
  const table = createMetrics()
  table
    .gauge({ name: 'a', help: 'back\\slash\nline', labels: ['x'] })
    .child('"quoted"\\\n')
    .set(Infinity)
  assert.equal(
    renderPrometheus({ metrics: [find(table.snapshot(), 'a')] }),
    '# HELP a back\\\\slash\\nline\n# TYPE a gauge\na{x="\\"quoted\\"\\\\\\n"} +Inf\n',
  )
})

/** A worker that has observed `values`. */
function worker(values: readonly number[]): MetricsSnapshot {
  const table = createMetrics()
  const count = table.counter({ name: 'n_total', help: 'N.', labels: ['kind'] })
  const size = table.histogram({ name: 'size_bytes', help: 'Size.', buckets: [1, 10, 100] }).child()
  for (const value of values) {
    count.child(value > 10 ? 'big' : 'small').inc()
    size.observe(value)
  }
  table.gauge({ name: 'heap_bytes', help: 'Heap.' }).child().set(values.length)
  table.gauge({ name: 'busy', help: 'Busy.', aggregate: 'sum' }).child().set(values.length)
  table.gauge({ name: 'oldest_seconds', help: 'Oldest.', aggregate: 'max' }).child().set(values.length)
  return structuredClone(table.snapshot())
}

test('the sum of workers is what one worker would have counted', () => {
  const values = fc.array(fc.array(fc.integer({ min: 0, max: 200 })), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(values, (perWorker) => {
      const merged = mergeSnapshots(perWorker.map((each, i) => ({ worker: String(i), snapshot: worker(each) })))
      const alone = worker(perWorker.flat())
      assert.deepEqual(find(merged, 'size_bytes'), find(alone, 'size_bytes'))
      const byKind = (s: MetricsSnapshot): object =>
        Object.fromEntries(find(s, 'n_total').series.map((e) => [e.labels[0], e.value]))
      assert.deepEqual(byKind(merged), byKind(alone))
      assert.equal(find(merged, 'busy').series[0]?.value, perWorker.flat().length)
      assert.equal(find(merged, 'oldest_seconds').series[0]?.value, Math.max(...perWorker.map((each) => each.length)))
      assert.deepEqual(
        find(merged, 'heap_bytes').series.map((each) => [each.labels[0], each.value]),
        perWorker.map((each, i) => [String(i), each.length]),
      )
      parsePrometheus(renderPrometheus(merged))
    }),
    { numRuns: 50 },
  )
})

test('a retired worker still counts and no longer measures, alone or folded together', () => {
  const gone = [worker([1, 50]), worker([2])].map((snapshot, i) => ({ worker: String(i), snapshot, retired: true }))
  const live = { worker: '7', snapshot: worker([3]) }
  const direct = mergeSnapshots([...gone, live])
  assert.deepEqual(
    scrape(direct, 'n_total')
      .samples.map((s) => s.value)
      .toSorted((a, b) => a - b),
    [1, 3],
  )
  assert.deepEqual(find(direct, 'heap_bytes').series, [{ labels: ['7'], value: 1 }])
  assert.equal(find(direct, 'busy').series[0]?.value, 1)

  const folded = mergeSnapshots([{ worker: 'gone', snapshot: mergeSnapshots(gone), retired: true }, live])
  assert.deepEqual(scrape(folded, 'size_bytes'), scrape(direct, 'size_bytes'))
})

test('workers that disagree about a metric do not corrupt it', () => {
  const table = createMetrics()
  table
    .histogram({ name: 'size_bytes', help: 'Size.', buckets: [5] })
    .child()
    .observe(1)
  const merged = mergeSnapshots([
    { worker: '0', snapshot: worker([1]) },
    { worker: '1', snapshot: table.snapshot() },
  ])
  assert.equal(scrape(merged, 'size_bytes').samples.at(-1)?.value, 1)
})
