/** The commands beside `start` and `dev`, as programs. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { postgresForTests } from '../../src/testing/index.ts'
import { Client } from '../support/client.ts'
import { keelson, ROOT, temporaryFolder, USERS, type CommandResult, type Variables } from '../support/command.ts'
import { startService } from '../support/running-service.ts'

const CARELESS = join(ROOT, 'test/cli/fixtures/careless.ts')
const COMMANDS = ['start', 'dev', 'migrate', 'check', 'config', 'routes', 'openapi', 'token']

const SECRET = 'a secret of more than thirty-two bytes'
const KEY: Variables = { JWT_SECRET: SECRET, JWT_ISSUER: 'https://issuer.example', JWT_AUDIENCE: 'users' }

function assertOk({ status, stdout, stderr }: CommandResult): string {
  assert.equal(status, 0, stderr + stdout)
  return stdout
}

/** As `--env-file`, `.keelson` and `.env` are looked for where one is, each test is in an empty folder. */
async function inEmptyFolder(args: readonly string[], env: Variables = {}): Promise<CommandResult> {
  using folder = temporaryFolder()
  return await keelson(args, { env, folder: folder.path })
}

test('help lists every command; a command’s own help tells its options', async () => {
  const all = await Promise.all([['help'], ['--help'], []].map((args) => inEmptyFolder(args)))
  assert.deepEqual(
    all.map(({ status }) => status),
    [0, 0, 64],
  )
  for (const { stdout } of all) for (const name of COMMANDS) assert.match(stdout, new RegExp(`^  ${name} +\\S`, 'm'))
  const help = assertOk(await inEmptyFolder(['start', '--help']))
  assert.match(help, /^Usage: keelson start \[--development\]/)
  assert.match(help, /^ +--single +\S/m)
  assert.match(help, /^ +--env-file VALUE +\S/m)
})

test('a wrong command line exits with 64 and says what there is', async () => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['serve'], /there is no command `serve`; the commands are start, dev, migrate, check, config, routes, openapi, token/],
    [['start', '--singel', USERS], /--singel/],
    [['start', 'nowhere.ts'], /there is no file nowhere\.ts/],
    [['start'], /name the service file; looked for service\.ts/],
    [['routes', USERS, CARELESS], /one service file is enough/],
    [['routes', join(ROOT, 'test/support/waiting.ts')], /must `export default defineService/],
  ]
  const results = await Promise.all(wrong.map(([args]) => inEmptyFolder(args)))
  for (const [i, [args, complaint]] of wrong.entries()) {
    const { status, stdout, stderr } = results[i]!
    assert.equal(status, 64, `${args.join(' ')}: ${stderr}`)
    assert.match(stderr, complaint)
    assert.equal(stdout, '')
    assert.doesNotMatch(stderr, /^ +at /m)
  }
})

test('an env file that is missing is named', async () => {
  const { status, stderr } = await inEmptyFolder(['check', '--env-file', 'missing.env', USERS])
  assert.notEqual(status, 0)
  assert.match(stderr, /missing\.env/)
  assert.doesNotMatch(stderr, /^ +at /m)
})

test('routes lists method, path, who may call it, and the deadline; nothing has to be configured', async () => {
  const lines = assertOk(await inEmptyFolder(['routes', USERS])).split('\n')
  const shown = (start: RegExp): string => lines.find((line) => start.test(line)) ?? `none in ${lines.join('\n')}`
  assert.match(shown(/^POST +\/api\/users\/? /), /users:write +deadlineMs 2000$/)
  assert.match(shown(/^GET +\/api\/users\/:id /), /users:read/)
  assert.match(shown(/^DELETE +\/api\/users\/:id /), /users:write/)
  assert.match(shown(/^GET +\/protected /), /any token/)
  assert.match(shown(/^GET +\/health /), /public/)
})

test('openapi prints the document as OpenAPI 3.1', async () => {
  const document = JSON.parse(assertOk(await inEmptyFolder(['openapi', USERS]))) as { openapi: string; paths: object }
  assert.match(document.openapi, /^3\.1\.\d+$/)
  assert.deepEqual(Object.keys(document.paths).toSorted(), ['/api/users', '/api/users/{id}', '/health', '/protected'])
})

test('config shows every value with its origin, and no secret', async () => {
  const env = { ...KEY, DATABASE_URL: 'postgres://ada:sesam@db.example/users', PORT: '8080' }
  const output = assertOk(await inEmptyFolder(['config', '--env-file', join(ROOT, 'examples/users/development.env'), USERS], env))
  assert.match(output, /^users, production$/m)
  assert.match(output, /^PORT +8080 +environment /m)
  assert.match(output, /^WORKERS +2 +.*development\.env /m)
  assert.match(output, /^LOG_LEVEL +info +default /m)
  assert.match(output, /^USERS_PAGE_SIZE +20 +default /m)
  assert.match(output, /^JWT_SECRET +\*{8} +environment /m)
  assert.match(output, /^DATABASE_URL +\*{8} +environment /m)
  assert.doesNotMatch(output, /thirty-two|sesam/)
  const refused = await inEmptyFolder(['config', USERS], { ...env, PORT: 'x' })
  assert.equal(refused.status, 78)
})

test('token prints one that a service in development accepts, and refuses for production', async () => {
  using folder = temporaryFolder()
  await using service = await startService({ mode: 'development', single: true, folder: folder.path })
  const call = async (...args: readonly string[]): Promise<readonly [number, string]> => {
    const token = assertOk(await keelson(['token', ...args, USERS], { folder: folder.path })).trim()
    using client = new Client(service.url, { authorization: `Bearer ${token}` })
    const [greeting, list] = [await client.get('/protected'), await client.get('/api/users')]
    return [list.status, greeting.body]
  }
  assert.deepEqual(await call(), [200, '{"message":"Hello ada"}'])
  assert.deepEqual(await call('--sub', 'grace', '--scope', 'users:write'), [403, '{"message":"Hello grace"}'])
  const refused = await keelson(['token', USERS], { folder: folder.path, env: { NODE_ENV: 'production' } })
  assert.equal(refused.status, 64)
  assert.equal(refused.stdout, '')
})

test('migrate status exits with 1 while something is pending; migrate applies it, two at once safely', async () => {
  await using database = await postgresForTests()
  const env = { DATABASE_URL: database.url }
  const before = await inEmptyFolder(['migrate', 'status', USERS], env)
  assert.equal(before.status, 1, before.stderr)
  assert.match(before.stdout, /^pending +0001-users$/m)
  const both = await Promise.all([inEmptyFolder(['migrate', USERS], env), inEmptyFolder(['migrate', USERS], env)])
  const outputs = both.map((result) => assertOk(result).trim())
  assert.deepEqual(outputs.toSorted(), ['applied 0001-users', 'nothing to do: the schema of users is up to date'])
  assert.match(assertOk(await inEmptyFolder(['migrate', 'status', USERS], env)), /^applied +0001-users$/m)
  assert.equal((await inEmptyFolder(['migrate', USERS])).status, 78)
})

test('check boots without listening: 0 when it would start, 1 with the reason when it would not be ready', async () => {
  await using database = await postgresForTests()
  const env = { ...KEY, DATABASE_URL: database.url }
  const pending = await inEmptyFolder(['check', USERS], env)
  assert.equal(pending.status, 1, pending.stderr)
  assert.match(pending.stdout, /^problem +schema: schema_behind$/m)
  assertOk(await inEmptyFolder(['migrate', USERS], env))
  assert.match(assertOk(await inEmptyFolder(['check', USERS], env)), /^users 1\.0\.0 would start: \d+ routes, 1 workers?$/m)
  const unreachable = await inEmptyFolder(['check', USERS], { ...env, DATABASE_URL: 'postgres://127.0.0.1:1/nowhere' })
  assert.equal(unreachable.status, 1)
  assert.match(unreachable.stdout, /^problem +database: /m)
  assert.equal((await inEmptyFolder(['check', USERS], { ...env, USERS_PAGE_SIZE: 'many' })).status, 78)
})

test('check lists all routes that do not say who may call them', async () => {
  const { status, stdout, stderr } = await inEmptyFolder(['check', CARELESS], KEY)
  assert.equal(status, 1)
  const said = stdout + stderr
  assert.match(said, /GET \/forgotten/)
  assert.match(said, /POST \/also-forgotten/)
  assert.doesNotMatch(said, /GET \/public/)
  assert.doesNotMatch(said, /^ +at /m)
})
