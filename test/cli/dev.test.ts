/** `keelson dev`: starts again when a file changes, and an error waits for the next change. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Client } from '../support/client.ts'
import { ROOT, spawnKeelson } from '../support/command.ts'
import { allGone, descendantsOf } from '../support/processes.ts'
import { freePort } from '../support/running-service.ts'
import { eventually } from '../support/waiting.ts'

function serviceThatSays(word: string): string {
  return `import { defineService } from 'keelson'
import { word } from './word.ts'
export default defineService({
  name: 'changing',
  register(app) {
    app.get('/word', { auth: false }, async () => word + ' ${word}')
  },
})
`
}

test('dev starts again when a file changes, waits with a broken one, and goes on when it is mended', async () => {
  using folder = folderOfThePackage()
  const write = (name: string, text: string): void => writeFileSync(join(folder.path, name), text)
  write('word.ts', `export const word = 'first'\n`)
  write('service.ts', serviceThatSays('version'))

  await using dev = await startDev(folder.path)
  await dev.answers('first version')
  const [former] = dev.serviceProcesses()
  write('word.ts', `export const word = 'second'\n`)
  await dev.answers('second version')
  await allGone([former!])

  write('service.ts', serviceThatSays('version').replace('defineService({', 'defineService({ ]'))
  await eventually('the error', () => /SyntaxError|Expression expected|Unexpected/.test(dev.output()))
  await eventually('it to wait', () => /waiting for a change/.test(dev.output()))
  assert.deepEqual(dev.serviceProcesses(), [])
  write('service.ts', serviceThatSays('version, mended'))
  await dev.answers('second version, mended')

  assert.equal(await dev.interrupt(), 0)
})

interface Dev extends AsyncDisposable {
  answers(text: string): Promise<void>
  output(): string
  /** The child that runs the service, and its workers. */
  serviceProcesses(): ReturnType<typeof descendantsOf>
  /** Ctrl-C: the terminal tells the whole group, and what it leaves must be nothing. */
  interrupt(): Promise<number | null>
}

async function startDev(folder: string): Promise<Dev> {
  const [port, adminPort] = [await freePort(), await freePort()]
  // A database URL, so that no embedded Postgres is started for a service that has no database.
  const env = { PORT: `${port}`, KEELSON_ADMIN_PORT: `${adminPort}`, DATABASE_URL: 'postgres://127.0.0.1:1/nowhere' }
  const child = spawnKeelson(['dev', 'service.ts'], { env, folder })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (output += text))
  const exited = once(child, 'exit') as Promise<[number | null]>
  const family = (): ReturnType<typeof descendantsOf> => descendantsOf(child.pid!)
  return {
    output: () => output,
    serviceProcesses: family,
    async answers(text) {
      await eventually(`"${text}"`, async () => (await ask(port)) === text, { limitMs: 30_000 }).catch((cause: unknown) => {
        throw new Error(`${String(cause)}\n${output}`, { cause })
      })
    },
    async interrupt() {
      const known = family()
      child.kill('SIGINT')
      const [code] = await exited
      await allGone(known)
      return code
    },
    async [Symbol.asyncDispose]() {
      const known = family()
      for (const { pid } of [...known, { pid: child.pid! }]) kill(pid)
      await exited
      await allGone(known)
    },
  }
}

async function ask(port: number): Promise<string | undefined> {
  using client = new Client(`http://127.0.0.1:${port}`, {}, false)
  return await client.get('/word').then(
    ({ body }) => body,
    () => undefined,
  )
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}

/** `import 'keelson'` means this package only for files below it; `.keelson` is where nothing is committed from. */
function folderOfThePackage(): Disposable & { readonly path: string } {
  mkdirSync(join(ROOT, '.keelson'), { recursive: true })
  const path = mkdtempSync(join(ROOT, '.keelson/test-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}
