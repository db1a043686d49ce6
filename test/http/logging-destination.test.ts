import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createDestination, createLogger, destinations } from '../../src/http/logging/index.ts'

const FIXTURE = fileURLToPath(new URL('./fixtures/log-writer.ts', import.meta.url))

interface Report {
  readonly bufferedBytes: number
  readonly acceptedLines: number
  readonly droppedLines: number
  readonly failure?: string
  readonly longestMs: number
  readonly rss: number
}

interface Writer {
  readonly child: ChildProcess
  /** Resolves with the first report from now on that satisfies `wanted`. */
  report(wanted?: (report: Report) => boolean): Promise<Report>
  readonly ended: Promise<{ code: number | null; signal: string | null }>
}

function start(t: TestContext, args: readonly string[], stdout: 'pipe' | number): Writer {
  const child = spawn(process.execPath, [FIXTURE, ...args], { stdio: ['ignore', stdout, 'pipe', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  child.stderr?.resume()
  const waiting = new Set<(report: Report) => void>()
  createInterface({ input: child.stdio[3] as Socket }).on('line', (line) => {
    for (const each of waiting) each(JSON.parse(line))
  })
  const ended = once(child, 'exit').then(([code, signal]) => ({ code, signal }))
  return {
    child,
    ended,
    report(wanted = () => true) {
      const { promise, resolve, reject } = Promise.withResolvers<Report>()
      const check = (report: Report): void => void (wanted(report) && resolve(report))
      waiting.add(check)
      void ended.then(() => reject(new Error('the writer ended')))
      return promise.finally(() => waiting.delete(check))
    },
  }
}

async function linesOf(child: ChildProcess): Promise<Record<string, unknown>[]> {
  let text = ''
  for await (const chunk of child.stdout as Socket) text += chunk
  return parseLines(text)
}

function parseLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
}

/** A pipe of the kernel's, which Node's own stdio pipes (sockets) are not, with a process that reads it. */
async function openPipe(t: TestContext, reader: string): Promise<{ fd: number; child: ChildProcess }> {
  const path = join(temporary(t), 'pipe')
  const child = spawn('sh', ['-c', `mkfifo '${path}' && echo made && exec ${reader} < '${path}'`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  // Waits until the reader has it open too.
  return { fd: openSync(path, 'w'), child }
}

function temporary(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'keelson-log-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

for (const mode of ['end', 'exit', 'exit-while-writing'] as const) {
  test(`no line is lost when the process ends (${mode}), on a socket, a pipe or a file`, async (t) => {
    const expected = mode === 'exit-while-writing' ? 6_000 : 3_000
    const bySocket = start(t, [mode, '3000'], 'pipe')
    assert.equal((await linesOf(bySocket.child)).length, expected, 'socket')

    const pipe = await openPipe(t, 'cat')
    const byPipe = start(t, [mode, '3000'], pipe.fd)
    closeSync(pipe.fd)
    assert.equal((await linesOf(pipe.child)).length, expected, 'pipe')
    await byPipe.ended

    const file = join(temporary(t), 'log')
    const fd = openSync(file, 'w')
    const byFile = start(t, [mode, '3000'], fd)
    closeSync(fd)
    const { code } = await byFile.ended
    assert.equal(code, mode === 'end' ? 0 : 7)
    assert.equal(parseLines(readFileSync(file, 'utf8')).length, expected, 'file')
  })
}

test('an uncaught exception and a handled SIGTERM lose no line either', async (t) => {
  const thrown = start(t, ['throw'], 'pipe')
  assert.deepEqual(
    (await linesOf(thrown.child)).map((line) => line['msg']),
    ['before'],
  )

  const terminated = start(t, ['term'], 'pipe')
  await terminated.report()
  terminated.child.kill('SIGTERM')
  assert.deepEqual(
    (await linesOf(terminated.child)).map((line) => line['msg']),
    ['last words'],
  )
})

test('a full device costs lines, not the service, its memory or its exit', { skip: !existsSync('/dev/full') }, async (t) => {
  const fd = openSync('/dev/full', 'w')
  const writer = start(t, ['flood'], fd)
  closeSync(fd)
  const report = await writer.report(({ droppedLines }) => droppedLines > 10_000)
  assert.equal(report.failure, 'ENOSPC')
  assert.ok(report.bufferedBytes <= 4_194_304)
  writer.child.kill('SIGTERM')
  assert.deepEqual(await writer.ended, { code: 0, signal: null })
})

test('a reader that left costs lines, not the service or its exit', async (t) => {
  const writer = start(t, ['flood'], 'pipe')
  await writer.report(({ acceptedLines }) => acceptedLines > 0)
  writer.child.stdout?.destroy()
  const report = await writer.report(({ droppedLines }) => droppedLines > 1_000)
  assert.match(String(report.failure), /^(EPIPE|ECONNRESET)$/)
  writer.child.kill('SIGTERM')
  assert.deepEqual(await writer.ended, { code: 0, signal: null })
})

for (const kind of ['socket', 'pipe'] as const) {
  test(`a reader that stopped (${kind}) holds up neither the loop nor the exit, and is served again when it goes on`, async (t) => {
    const pipe = kind === 'pipe' ? await openPipe(t, 'cat') : undefined
    if (pipe) pipe.child.kill('SIGSTOP')
    const writer = start(t, ['flood'], pipe?.fd ?? 'pipe')
    if (pipe) closeSync(pipe.fd)
    const full = await writer.report(({ droppedLines }) => droppedLines > 10_000)
    assert.ok(full.bufferedBytes <= 4_194_304)
    assert.equal(full.failure, 'EAGAIN')
    assert.ok(full.longestMs < 1_000, `the loop went on: ${full.longestMs} ms`)

    // No more lines, and a reader: everything that was kept arrives, and the loss is said.
    writer.child.kill('SIGUSR2')
    pipe?.child.kill('SIGCONT')
    const lines = linesOf(pipe?.child ?? writer.child)
    const { droppedLines } = await writer.report(({ bufferedBytes }) => bufferedBytes === 0)
    writer.child.kill('SIGTERM')
    assert.deepEqual(await writer.ended, { code: 0, signal: null })
    const all = await lines
    const lost = all.find((line) => line['msg'] === 'log lines were dropped')
    assert.ok(Number(lost?.['dropped']) > 10_000 && Number(lost?.['dropped']) <= droppedLines)
    assert.equal(lost?.['level'], 'warn')
  })

  test(`a reader that stopped for good (${kind}) delays the exit by a fifth of a second`, async (t) => {
    const pipe = kind === 'pipe' ? await openPipe(t, 'sleep 1000') : undefined
    const writer = start(t, ['flood'], pipe?.fd ?? 'pipe')
    if (pipe) closeSync(pipe.fd)
    await writer.report(({ failure }) => failure === 'EAGAIN')
    const startedAt = performance.now()
    writer.child.kill('SIGTERM')
    assert.deepEqual(await writer.ended, { code: 0, signal: null })
    // 200 ms of flush, and what a loaded machine needs to end a process.
    assert.ok(performance.now() - startedAt < 2_000)
  })
}

test('processes that share a pipe never mix their lines', async (t) => {
  const pipe = await openPipe(t, 'cat')
  const writers = ['a', 'b', 'c'].map((name) => start(t, ['share', name], pipe.fd))
  closeSync(pipe.fd)
  const lines = await linesOf(pipe.child)
  await Promise.all(writers.map((writer) => writer.ended))
  for (const name of ['a', 'b', 'c']) {
    const own = lines.filter((line) => line['who'] === name).map((line) => line['n'])
    assert.deepEqual(
      own,
      Array.from({ length: own.length }, (_, i) => i),
      'in order',
    )
    assert.equal(own.length, 2_000)
  }
})

test('a line is at most 4,096 bytes, whatever is logged, and stays JSON', (t) => {
  const file = join(temporary(t), 'log')
  const fd = openSync(file, 'w')
  const destination = createDestination({ fd, name: 'file' })
  const { logger } = createLogger({ destination })
  let deep: object = { end: true }
  for (let i = 0; i < 100; i++) deep = { deep, ['k'.repeat(50) + i]: '\u0001'.repeat(5_000) }
  const wide = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`key${i}`, 'é'.repeat(3_000)]))
  const chain = Array.from({ length: 10 }).reduce<Error>((cause) => new Error('m'.repeat(2_000), { cause }), new Error('root'))
  for (const fields of [{ deep }, wide, { err: chain }, { list: Array.from({ length: 1e5 }, () => 'x'.repeat(90)) }, {}]) {
    logger.warn({ requestId: 'r'.repeat(64), ...fields }, '\u0000'.repeat(10_000))
  }
  destination.write(`${JSON.stringify({ msg: 'plain', head: 'x'.repeat(1_000_000) })}\n`)
  destination.write(`${'x'.repeat(1_000_000)}\n`)
  destination[Symbol.dispose]()
  closeSync(fd)
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
  assert.equal(lines.length, 7)
  for (const line of lines) {
    assert.ok(Buffer.byteLength(line) < 4_096)
    assert.equal(JSON.parse(line)['truncated'], true)
  }
  for (const line of lines.slice(0, 5)) assert.equal(JSON.parse(line)['requestId'], 'r'.repeat(64))
})

test('a destination is listed while it is open, and leaves nothing behind', (t) => {
  const listeners = process.listenerCount('exit')
  const fd = openSync(join(temporary(t), 'log'), 'w')
  const destination = createDestination({ fd, name: 'listed' })
  destination.write('{"a":1}\n')
  const mine = destinations.snapshots().find((each) => each.name === 'listed')
  assert.equal(mine?.acceptedLines, 1)
  destination[Symbol.dispose]()
  destination.write('{"late":true}\n')
  assert.equal(destination.snapshot().droppedLines, 1)
  assert.ok(!destinations.snapshots().some((each) => each.name === 'listed'))
  assert.equal(process.listenerCount('exit'), listeners)
  closeSync(fd)
})
