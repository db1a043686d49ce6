/** The page on configuration lists what the code reads, and nothing else. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { SETTINGS } from '../../src/app/config/index.ts'

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/reference/configuration.md'), 'utf8')

/** Name, default and default in development of each row of the page's table; a dash is nothing. */
const rows = [...PAGE.matchAll(/^\| `([A-Z_]+)` \| (.*?) \| (.*?) \| (.+?) \|$/gm)].map(
  ([, name, byDefault, inDevelopment, about]) => ({
    name,
    byDefault: byDefault!.replaceAll('`', ''),
    inDevelopment: inDevelopment!.replaceAll('`', ''),
    about,
  }),
)

function shown(value: unknown): string {
  return value === undefined || (Array.isArray(value) && value.length === 0) ? '–' : `${value as string | number}`
}

test('the page and the code have the same settings, in the same order', () => {
  assert.deepEqual(
    rows.map(({ name }) => name),
    Object.keys(SETTINGS),
  )
})

for (const [name, setting] of Object.entries(SETTINGS)) {
  test(`the page tells the default of ${name} and what it means`, () => {
    const row = rows.find((one) => one.name === name)
    assert.equal(row?.byDefault, shown(setting.byDefault))
    const inDevelopment = setting.inDevelopment === undefined ? setting.byDefault : setting.inDevelopment
    assert.equal(row?.inDevelopment, shown(inDevelopment))
    assert.ok(row.about?.startsWith(setting.about), `${row.about} does not begin with: ${setting.about}`)
  })
}
