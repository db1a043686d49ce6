/** Documents are checked like code: their examples run, and the error codes they list are those that exist. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join, relative } from 'node:path'
import { after, test } from 'node:test'

const ROOT = join(import.meta.dirname, '..')
const PAGES = ['README.md', ...globSync('docs/{guide,reference}/**/*.md', { cwd: ROOT })].toSorted()

interface Snippet {
  readonly page: string
  readonly line: number
  readonly code: string
}

/** Blocks tagged `ts`, or `ts` and a file name; `ts no-run` needs something that is not there. */
function snippetsOf(page: string): readonly Snippet[] {
  const text = readFileSync(join(ROOT, page), 'utf8')
  return [...text.matchAll(/^```ts(?: (\S+))?\n([\s\S]*?)^```/gm)]
    .filter(([, tag]) => tag !== 'no-run')
    .map((match) => ({ page, line: text.slice(0, match.index).split('\n').length, code: match[2]! }))
}

// Inside the package, where `keelson/...` means its own sources.
mkdirSync(join(ROOT, '.keelson'), { recursive: true })
const folder = mkdtempSync(join(ROOT, '.keelson', 'docs-'))
after(() => rmSync(folder, { recursive: true, force: true }))

async function run(file: string): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ['--conditions=keelson-source', file], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  const guard = setTimeout(() => child.kill('SIGKILL'), 30_000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(guard)
  return { code, output }
}

test('there are pages, and pages have examples', () => {
  assert.ok(PAGES.length > 10)
  assert.ok(PAGES.flatMap(snippetsOf).length > 10)
})

for (const [index, snippet] of PAGES.flatMap(snippetsOf).entries()) {
  test(`the example at ${snippet.page}:${snippet.line} runs and ends`, async () => {
    const file = join(folder, `example-${index}.ts`)
    writeFileSync(file, snippet.code)
    const { code, output } = await run(file)
    assert.equal(code, 0, output)
  })
}

test('every error code of the sources is documented, and no other', () => {
  const inSources = new Set(
    globSync('src/**/*.ts', { cwd: ROOT }).flatMap((path) =>
      [...readFileSync(join(ROOT, path), 'utf8').matchAll(/'(KEELSON_[A-Z\d_]+)'|^ {2}(KEELSON_[A-Z\d_]+): \d/gm)].map(
        (m) => (m[1] ?? m[2])!,
      ),
    ),
  )
  const settings = readFileSync(join(ROOT, 'src/app/config/settings.ts'), 'utf8')
  const isCode = (name: string): boolean => !settings.includes(`${name}:`) && !/^KEELSON_(TEST|WORKER)_/.test(name)
  const inDocs = new Set(
    PAGES.flatMap((page) =>
      [...readFileSync(join(ROOT, page), 'utf8').matchAll(/\bKEELSON_[A-Z\d_]+\b(?!_?\*)/g)].map((m) => m[0]),
    ),
  )
  const undocumented = [...inSources].filter((code) => isCode(code) && !inDocs.has(code))
  const invented = [...inDocs].filter((code) => isCode(code) && !code.endsWith('_') && !inSources.has(code))
  assert.deepEqual({ undocumented: undocumented.toSorted(), invented: invented.toSorted() }, { undocumented: [], invented: [] })
})

test('every file that a document links to is there', () => {
  const broken = [...PAGES, 'CONTRIBUTING.md', ...globSync('docs/decisions/*.md', { cwd: ROOT })].flatMap((page) => {
    const links = [...readFileSync(join(ROOT, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map((m) => m[1]!)
    return links
      .filter((link) => globSync(join(page, '..', link), { cwd: ROOT }).length === 0)
      .map((link) => `${page} -> ${link}`)
  })
  assert.deepEqual(
    broken.map((one) => relative('.', one)),
    [],
  )
})
