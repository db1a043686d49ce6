/**
 * What other programs read: the users service's OpenAPI document, by redocly and spectral with their own rules,
 * and its metrics page, by promtool where there is one. The linters are fetched by npm for this check alone.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { renderPrometheus } from 'keelson/http/metrics'
import { testService } from 'keelson/testing'
import service from '../examples/users/service.ts'

const REDOCLY = '@redocly/cli@2.77.0'
const SPECTRAL = '@stoplight/spectral-cli@6.16.3'

const folder = mkdtempSync(join(tmpdir(), 'keelson-formats-'))
try {
  await using users = await testService(service)
  const headers = await users.authorization({ scopes: ['users:read'] })
  await users.app.inject({ url: '/api/users', headers })
  await users.app.inject({ url: '/nowhere' })
  lintDocument(users.app.swagger())
  lintMetrics(renderPrometheus(users.app.metrics.snapshot()))
  console.log('the formats: ok')
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function lintDocument(document) {
  const path = join(folder, 'openapi.json')
  writeFileSync(path, JSON.stringify(document, null, 2))
  writeFileSync(join(folder, '.spectral.json'), JSON.stringify({ extends: ['spectral:oas'] }))
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true }))
  run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', REDOCLY, SPECTRAL])
  console.log(`- redocly lint: ${lastLine(run('npx', ['redocly', 'lint', 'openapi.json'])).trim()}`)
  console.log(
    `- spectral lint (spectral:oas): ${lastLine(run('npx', ['spectral', 'lint', 'openapi.json', '--fail-severity', 'error']))}`,
  )
}

function lintMetrics(page) {
  const { error, status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: page, encoding: 'utf8' })
  if (error) return console.log('- promtool check metrics: SKIPPED, there is no promtool here')
  if (status !== 0) throw new Error(`promtool check metrics: ${stdout}${stderr}`)
  console.log('- promtool check metrics: ok')
}

function run(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stdout}${stderr}`)
  return stdout
}

function lastLine(text) {
  return text.trim().split('\n').at(-1)?.trim()
}
