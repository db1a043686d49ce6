import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { z } from 'zod'
import { describeConfig, Environment, readEnvFile, resolveConfig, type Config, type Mode } from '../../src/app/config/index.ts'
import { KeelsonError } from '../../src/core/errors.ts'

const SECRET = 'correct-horse-battery-staple-0123456789'
const ENOUGH = { JWT_SECRET: SECRET, JWT_ISSUER: 'https://issuer.example', JWT_AUDIENCE: 'users' }

function resolve(env: Record<string, string>, mode: Mode = 'production', schema?: z.ZodObject, database = false): Config {
  return resolveConfig({ environment: new Environment(env), mode, needs: { env: schema, database } })
}

function problemsOf(...given: Parameters<typeof resolve>): readonly string[] {
  try {
    resolve(...given)
  } catch (error) {
    assert.ok(error instanceof KeelsonError)
    assert.equal(error.code, 'KEELSON_CONFIG_INVALID')
    return error.details['problems'] as readonly string[]
  }
  return []
}

function temporaryFile(t: TestContext, name: string, content: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'keelson config '))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

test('production asks for a key, an issuer and an audience, and has a default for the rest', () => {
  assert.deepEqual(problemsOf({}), [
    'one of JWT_SECRET, JWT_PUBLIC_KEY, JWKS_URL is required',
    'JWT_ISSUER is required',
    'JWT_AUDIENCE is required',
  ])
  const { settings } = resolve(ENOUGH)
  assert.equal(settings.HOST, '0.0.0.0')
  assert.equal(settings.PORT, 3000)
  assert.equal(settings.DRAIN_DELAY_MS, 5_000)
})

test('development listens on loopback, drains without delay and issues its own tokens', () => {
  const { settings, origins } = resolve({ JWT_SECRET: SECRET }, 'development')
  assert.equal(settings.HOST, '127.0.0.1')
  assert.equal(settings.DRAIN_DELAY_MS, 0)
  assert.equal(settings.JWT_ISSUER, 'keelson-development')
  assert.equal(origins['HOST'], 'development default')
})

test('all problems are reported at once, each with name, rule and value', () => {
  const problems = problemsOf({ ...ENOUGH, PORT: '80a', WORKERS: '0', LOG_LEVEL: 'loud', CORS_ORIGINS: '*', TRUST_PROXY: 'true' })
  assert.deepEqual(problems, [
    'PORT must be an integer from 0 to 65535, got "80a"',
    'WORKERS must be `auto` or an integer >= 1, got "0"',
    'CORS_ORIGINS must hold origins such as https://app.example.com (scheme, host and port only; no *, no path), got "*"',
    'TRUST_PROXY must be a number of proxies, or a list of addresses and CIDR ranges, got "true"',
    'LOG_LEVEL must be one of fatal, error, warn, info, debug, trace, silent, got "loud"',
  ])
})

test('a secret that breaks its rule is never repeated', () => {
  const [problem] = problemsOf({ ...ENOUGH, JWT_SECRET: 'hunter2' })
  assert.equal(problem, 'JWT_SECRET must be at least 32 bytes long, got a value of 7 characters')
  const [url] = problemsOf({ ...ENOUGH, DATABASE_URL: 'mysql://root:hunter2@db/users' })
  assert.equal(url, 'DATABASE_URL must be a URL that begins with postgres:// or postgresql://, got a value of 29 characters')
})

test('tokens are verified with exactly one kind of key', () => {
  assert.deepEqual(problemsOf({ ...ENOUGH, JWKS_URL: 'https://issuer.example/jwks' }), [
    'JWT_SECRET and JWKS_URL are set; tokens are verified with exactly one of them',
  ])
})

test('a service with migrations needs a database', () => {
  assert.deepEqual(problemsOf(ENOUGH, 'production', undefined, true), ['DATABASE_URL is required'])
})

test('an empty variable counts as not set', () => {
  assert.equal(resolve({ ...ENOUGH, PORT: '' }).settings.PORT, 3000)
})

test('a misspelt name is reported with the likely meaning', () => {
  assert.deepEqual(problemsOf({ ...ENOUGH, DATABSE_URL: 'postgres://db/users', Port: '80', KEELSON_ADMINPORT: '1', HOME: '/' }), [
    'DATABSE_URL is not a setting; did you mean DATABASE_URL?',
    'Port is not a setting; did you mean PORT?',
    'KEELSON_ADMINPORT is not a setting; did you mean KEELSON_ADMIN_PORT?',
  ])
})

test("names that merely lie near short settings are the machine's own business", () => {
  assert.deepEqual(problemsOf({ ...ENOUGH, SORT: '1', HOSTNAME: 'box', POST: 'x', WORKER: '1' }), [
    'WORKER is not a setting; did you mean WORKERS?',
  ])
})

test('NAME_FILE gives a value without its last line break', (t) => {
  const path = temporaryFile(t, 'jwt secret', `${SECRET}\n`)
  const config = resolve({ JWT_SECRET_FILE: path, JWT_ISSUER: 'i', JWT_AUDIENCE: 'a' })
  assert.equal(config.settings.JWT_SECRET, SECRET)
  assert.equal(config.origins['JWT_SECRET'], `JWT_SECRET_FILE ${path}`)
})

test('NAME together with NAME_FILE, and a file that is not there, are problems', () => {
  assert.deepEqual(problemsOf({ ...ENOUGH, JWT_SECRET_FILE: '/nowhere', REDIS_URL_FILE: '/nowhere' }), [
    'REDIS_URL_FILE names /nowhere, which cannot be read (ENOENT)',
    'JWT_SECRET and JWT_SECRET_FILE are both set; keep one',
  ])
})

test('the environment weighs more than an env file, and each value knows where it came from', (t) => {
  const path = temporaryFile(t, 'dev.env', 'PORT=4000\nWORKERS=2 # two\n')
  const environment = new Environment({ ...ENOUGH, PORT: '5000' }, [readEnvFile(path)])
  const { settings, origins } = resolveConfig({ environment, mode: 'production' })
  assert.equal(settings.PORT, 5000)
  assert.equal(settings.WORKERS, 2)
  assert.equal(origins['PORT'], 'environment')
  assert.equal(origins['WORKERS'], path)
})

test("the service's own variables are parsed by its schema and reported beside Keelson's", () => {
  const schema = z.object({ SMTP_HOST: z.string(), PAGE_SIZE: z.coerce.number().int().max(100).default(20) })
  assert.deepEqual(resolve({ ...ENOUGH, SMTP_HOST: 'mail' }, 'production', schema).service, { SMTP_HOST: 'mail', PAGE_SIZE: 20 })
  assert.deepEqual(problemsOf({ ...ENOUGH, PAGE_SIZE: '500', PORT: 'x' }, 'production', schema), [
    'PORT must be an integer from 0 to 65535, got "x"',
    'SMTP_HOST is required',
    'PAGE_SIZE: Too big: expected number to be <=100',
  ])
})

test('the description masks secrets, and what looks like one in the service', () => {
  const schema = z.object({ SMTP_PASSWORD: z.string(), SMTP_HOST: z.string() })
  const lines = describeConfig(resolve({ ...ENOUGH, SMTP_PASSWORD: 'hunter2', SMTP_HOST: 'mail' }, 'production', schema))
  const text = JSON.stringify(lines)
  assert.ok(!text.includes('hunter2') && !text.includes(SECRET))
  assert.equal(lines.find((line) => line.name === 'JWT_SECRET')?.value, '********')
  assert.equal(lines.find((line) => line.name === 'SMTP_HOST')?.value, 'mail')
  assert.equal(lines.find((line) => line.name === 'PORT')?.origin, 'default')
})

test('proxies are trusted by number or by valid addresses, and never all of them', () => {
  const trusted = (value: string): unknown => resolve({ ...ENOUGH, TRUST_PROXY: value }).settings.TRUST_PROXY
  assert.equal(trusted('2'), 2)
  assert.deepEqual(trusted('10.0.0.0/8, ::1'), ['10.0.0.0/8', '::1'])
  for (const wrong of ['all', '*', '999.1.1.1', '10.0.0.0/33', '0.0.0.0/0', '::/0', '10.0.0.1/8/8', 'a.b', '-1', '10.0.0.1,']) {
    assert.equal(problemsOf({ ...ENOUGH, TRUST_PROXY: wrong }).length, 1, wrong)
  }
})

test('allowed hosts are written as they stand in the Host header', () => {
  const allowed = resolve({ ...ENOUGH, ALLOWED_HOSTS: 'api.example.com, localhost:3000,[::1]:3000' }).settings.ALLOWED_HOSTS
  assert.deepEqual(allowed, ['api.example.com', 'localhost:3000', '[::1]:3000'])
  for (const wrong of ['https://api.example.com', '::1', '*.example.com', 'a b', 'api.example.com/x']) {
    assert.match(
      problemsOf({ ...ENOUGH, ALLOWED_HOSTS: wrong })[0] ?? '',
      /^ALLOWED_HOSTS must hold hosts as in the `Host` header/,
    )
  }
})

test('a value of several lines stays on its line in the description', () => {
  const schema = z.object({ GREETING: z.string() })
  const config = resolve({ ...ENOUGH, GREETING: 'hello\nworld' }, 'production', schema)
  const described = describeConfig(config).find(({ name }) => name === 'GREETING')
  assert.equal(described?.value, JSON.stringify('hello\nworld'))
})
