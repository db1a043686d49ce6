/**
 * The packed package as a user gets it: its manifest and types by publint and are-the-types-wrong; the README's service,
 * started and type-checked in an empty project of its own; cache and resilience without Fastify.
 * `--quick` leaves out the linters and the older Node.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const quick = process.argv.includes('--quick')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const pinned = (name) => `${name}@${manifest.devDependencies[name]}`

/** Fetched by npm for this check alone. */
const PUBLINT = 'publint@0.3.25'
const ATTW = '@arethetypeswrong/cli@0.18.5'
const OLD_NODE = `node-linux-${process.arch}@22.23.2`
const OLD_TYPESCRIPT = 'typescript@5.9.3'

/** A user's, with everything strict; and the declarations of the package are checked too. */
const TSCONFIG = {
  compilerOptions: {
    target: 'es2023',
    lib: ['es2024', 'esnext.disposable'],
    module: 'nodenext',
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
  },
  include: ['*.ts'],
}

const folder = mkdtempSync(join(tmpdir(), 'keelson package '))
try {
  const tarball = pack()
  if (!quick) lintPackage(tarball)
  await checkService(tarball)
  checkWithoutFastify(tarball)
  console.log('the package: ok')
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function say(text) {
  console.log(`- ${text}`)
}

function run(command, args, options = {}) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options })
  } catch (error) {
    console.error(`${command} ${args.join(' ')} failed:\n${error.stdout ?? ''}${error.stderr ?? ''}`)
    throw error
  }
}

function npm(cwd, ...args) {
  return run('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], { cwd })
}

function pack() {
  const [{ filename, size, unpackedSize, files }] = JSON.parse(
    run('npm', ['pack', '--json', '--silent', '--pack-destination', folder], { cwd: root }),
  )
  say(`packed ${filename}: ${files.length} files, ${Math.round(size / 1024)} kB, ${Math.round(unpackedSize / 1024)} kB unpacked`)
  return join(folder, filename)
}

function lintPackage(tarball) {
  const cwd = project('linters', {})
  npm(cwd, 'install', PUBLINT, ATTW)
  run('npx', ['publint', tarball, '--strict'], { cwd })
  say('publint --strict: ok')
  run('npx', ['attw', tarball, '--profile', 'esm-only'], { cwd })
  say('are-the-types-wrong (ESM only): ok')
}

function project(name, fields) {
  const cwd = join(folder, name)
  mkdirSync(cwd)
  writeFileSync(join(cwd, 'package.json'), JSON.stringify({ name, private: true, type: 'module', ...fields }))
  return cwd
}

async function checkService(tarball) {
  const cwd = project('service', {})
  const peers = ['fastify', 'zod', 'fastify-type-provider-zod', 'kysely', 'pg', 'ioredis', 'jose', 'pino']
  const types = ['@types/node', '@types/pg']
  npm(cwd, 'install', tarball, ...[...peers, ...types].map(pinned), pinned('typescript'), `ts-old@npm:${OLD_TYPESCRIPT}`)
  for (const [file, code] of readmeFiles()) writeFileSync(join(cwd, file), code)
  writeFileSync(join(cwd, 'tsconfig.json'), JSON.stringify(TSCONFIG))

  for (const [name, compiler] of [
    ['7', 'typescript'],
    ['5.9', 'ts-old'],
  ]) {
    run(process.execPath, [join(cwd, 'node_modules', compiler, 'bin/tsc'), '-p', '.'], { cwd })
    say(`the README's code type-checks under strict with TypeScript ${name}`)
  }
  const nodes = [process.execPath]
  if (!quick && process.platform === 'linux') {
    npm(cwd, 'install', '--no-save', OLD_NODE)
    nodes.push(join(cwd, 'node_modules', `node-linux-${process.arch}`, 'bin/node'))
  }
  for (const node of nodes) await runService(cwd, node)
}

/** Starts the README's service as the README says, asks it, and stops it. */
async function runService(cwd, node) {
  const version = run(node, ['--version']).trim()
  const cli = join(cwd, 'node_modules/keelson/dist/cli/main.js')
  const env = { ...process.env, PORT: '0', KEELSON_ADMIN_PORT: '0', NODE_OPTIONS: '' }
  const service = spawn(node, [cli, 'start', '--development', 'service.ts'], { cwd, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(service, 'exit')
  let output = ''
  service.stdout.setEncoding('utf8').on('data', (text) => (output += text))
  try {
    const url = await until(() => /service +(http\S+)/.exec(output)?.[1], exited)
    const answer = await fetch(`${url}/quotes/ACME`)
    const body = await answer.json()
    if (answer.status !== 200 || body.price !== 40) throw new Error(`unexpected answer: ${answer.status} ${JSON.stringify(body)}`)
    const missing = await fetch(`${url}/quotes/NONE`)
    if (missing.status !== 404) throw new Error(`expected 404, got ${missing.status}`)
  } finally {
    service.kill('SIGINT')
    await exited
  }
  run(node, ['existing.ts'], { cwd })
  say(`the README's service and plugins run on Node ${version}`)
}

async function until(probe, exited) {
  let ended = false
  void exited.then(() => (ended = true))
  for (let i = 0; i < 300 && !ended; i++) {
    const found = probe()
    if (found) return found
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('the service did not start')
}

/** Engines for programs that aren't Fastify services: nothing but the package itself is installed. */
function checkWithoutFastify(tarball) {
  const cwd = project('standalone', {})
  npm(cwd, 'install', tarball)
  const script = `
    import { createCache } from 'keelson/cache'
    import { createPipeline } from 'keelson/resilience'
    await using cache = createCache({ name: 'c', ttlMs: 1000 })
    using calls = createPipeline({ name: 'p', timeoutMs: 1000, retry: {} })
    const value = await cache.getOrLoad('k', () => calls.run(async () => 42))
    if (value !== 42) throw new Error('got ' + value)
    await import('fastify').then(() => { throw new Error('fastify is installed') }, () => {})
  `
  writeFileSync(join(cwd, 'standalone.mjs'), script)
  run(process.execPath, ['standalone.mjs'], { cwd, env: { ...process.env, NODE_OPTIONS: '' } })
  say('keelson/cache and keelson/resilience run with no Fastify installed')
}

/** Code blocks of the README that are marked with a file name. */
function readmeFiles() {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  return [...readme.matchAll(/^```ts (\S+)\n([\s\S]*?)^```/gm)].map(([, file, code]) => [file, code])
}
