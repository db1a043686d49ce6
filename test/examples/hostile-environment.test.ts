/** Settings that are wrong, by mistake or on purpose: a refusal that names each of them, and never a secret. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { keelson, temporaryFolder, USERS, type Variables } from '../support/command.ts'

const EXIT_CONFIG = 78

/** Both are in every secret here, and must be in no output. */
const SECRETS = /sesam|geheim/i
const KEY = 'sesam-geheim-sesam-geheim-sesam-geheim'

/** With these it would start, if there were a database. */
const COMPLETE: Variables = {
  HOST: '127.0.0.1',
  PORT: '0',
  KEELSON_ADMIN_HOST: '127.0.0.1',
  KEELSON_ADMIN_PORT: '0',
  DATABASE_URL: 'postgres://root:sesam@127.0.0.1:1/users',
  JWT_SECRET: KEY,
  JWT_ISSUER: 'https://issuer.example',
  JWT_AUDIENCE: 'users',
}

const folder = temporaryFolder()
after(() => folder[Symbol.dispose]())
const file = (name: string, text: string): string => {
  const path = join(folder.path, name)
  writeFileSync(path, text)
  return path
}
const privateKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
const privateKeyText = privateKey.split('\n')[1]!

interface Case {
  readonly env: Variables
  /** What it must say exactly once, besides the lines of its log. */
  readonly names: readonly RegExp[]
  /** Default: `check`. */
  readonly command?: readonly string[]
  /** Default: 78. */
  readonly exit?: number
  /** Why it does not do that yet. */
}

const ALL_WRONG: Variables = {
  HOST: 'not a host',
  PORT: '0x10',
  KEELSON_ADMIN_PORT: '65536',
  WORKERS: '0',
  DATABASE_URL: 'mysql://root:sesam@127.0.0.1/users',
  DATABASE_POOL_TOTAL: '-1',
  REDIS_URL: 'http://:sesam@127.0.0.1',
  JWT_SECRET: 'sesam-zu-kurz',
  CURSOR_SECRET: 'geheim-zu-kurz',
  CORS_ORIGINS: '*',
  ALLOWED_HOSTS: '*',
  TRUST_PROXY: 'all',
  LOG_LEVEL: 'loud',
  DEADLINE_MS: '0',
  REQUEST_TIMEOUT_MS: '1e4',
  KEEP_ALIVE_TIMEOUT_MS: ' 72000',
  BODY_LIMIT_BYTES: '-1',
  DRAIN_DELAY_MS: '٣',
  DRAIN_TIMEOUT_MS: 'never',
  USERS_PAGE_SIZE: '0',
  DATABSE_URL: 'postgres://root:sesam@127.0.0.1/users',
  KEELSON_SECRET: 'geheim',
}
const EACH_ONCE = Object.keys(ALL_WRONG).map((name) => new RegExp(`^  ${name}\\b`, 'm'))

const CASES: Readonly<Record<string, Case>> = {
  'no settings': {
    command: ['start'],
    env: { DATABASE_URL: '', JWT_SECRET: '', JWT_ISSUER: '', JWT_AUDIENCE: '' },
    names: [/one of JWT_SECRET, JWT_PUBLIC_KEY, JWKS_URL is required/, /DATABASE_URL is/, /JWT_ISSUER is/, /JWT_AUDIENCE is/],
  },
  'every setting wrong': { env: ALL_WRONG, names: EACH_ONCE },
  'every setting wrong, at a start': { command: ['start'], env: ALL_WRONG, names: EACH_ONCE },
  'files that cannot be read': {
    env: { JWT_SECRET: '', JWT_SECRET_FILE: '/nowhere', CURSOR_SECRET_FILE: '/tmp', REDIS_URL_FILE: file('redis', 'geheim\n') },
    names: [/JWT_SECRET_FILE .*ENOENT/, /CURSOR_SECRET_FILE .*EISDIR/, /REDIS_URL must be a (valid )?URL/],
  },
  'names that are none': {
    env: { port: '1', JWT_SECERT: 'geheim', KEELSON_ADMIN_PROT: '1' },
    names: [/did you mean PORT\?/, /did you mean JWT_SECRET\?/, /did you mean KEELSON_ADMIN_PORT\?/],
  },
  'trust in everybody': {
    env: { TRUST_PROXY: '0.0.0.0/0', CORS_ORIGINS: 'https://a.example,null', ALLOWED_HOSTS: 'a.example/x' },
    names: [/TRUST_PROXY/, /CORS_ORIGINS/, /ALLOWED_HOSTS/],
  },
  'two keys': { env: { JWKS_URL: 'https://issuer.example/keys' }, names: [/JWT_SECRET and JWKS_URL are set/] },
  'a key twice': { env: { JWT_SECRET_FILE: '/dev/null' }, names: [/JWT_SECRET and JWT_SECRET_FILE are both set/] },
  'a private key for a public one': {
    env: { JWT_SECRET: '', JWT_PUBLIC_KEY: privateKey },
    names: [/public key, not a private one/],
  },
  'a private key for a public one, shown': {
    command: ['config'],
    env: { JWT_SECRET: '', JWT_PUBLIC_KEY: privateKey },
    names: [/JWT_PUBLIC_KEY/],
  },
  'a key that is none': {
    env: { JWT_SECRET: '', JWT_PUBLIC_KEY: 'geheim' },
    names: [/JWT_PUBLIC_KEY/],
  },
  'keys from a URL with a password': {
    env: { JWT_SECRET: '', JWKS_URL: 'https://root:sesam@issuer.example/keys' },
    names: [/must be a URL without a user or password/],
  },
  'a database URL with a # in its password': {
    env: { DATABASE_URL: 'postgres://root:ses#geheim@127.0.0.1/users' },
    names: [/DATABASE_URL must be a valid URL: percent-encode/],
  },
  'a database URL with half an escape': {
    env: { DATABASE_URL: 'postgres://root:%zzsesam@127.0.0.1:1/users' },
    names: [/DATABASE_URL/],
  },
  'a Redis URL with half an escape': {
    env: { REDIS_URL: 'redis://:%zzsesam@127.0.0.1:1' },
    names: [/REDIS_URL/],
  },
  'a setting of the service that is no number': { env: { USERS_PAGE_SIZE: '1e400' }, names: [/USERS_PAGE_SIZE/] },
  'a port that is none, in development': {
    command: ['start', '--development'],
    env: { PORT: 'x', JWT_SECRET: '', DATABASE_URL: '' },
    names: [/the configuration has a problem:\n {2}PORT must/],
  },
  'an address of another machine': {
    command: ['start'],
    env: { HOST: '203.0.113.1' },
    names: [/^keelson: cannot listen on 203\.0\.113\.1:0/],
    exit: 1,
  },
  'a database that is not there': { env: {}, names: [/database: db_unreachable/], exit: 1 },
}

describe('environment', { concurrency: 2 }, () => {
  for (const [what, { env, names, command = ['check'], exit = EXIT_CONFIG }] of Object.entries(CASES)) {
    test(`${what}: exit ${exit}`, async (t) => {
      const { status, stdout, stderr } = await keelson([...command, USERS], { env: { ...COMPLETE, ...env }, folder: folder.path })
      t.diagnostic(`environment: ${what} → exit ${status}`)
      const said = stdout + stderr
      assert.equal(status, exit, said)
      const told = said.replaceAll(/^\{.*\n/gm, '')
      for (const name of names) assert.equal(told.match(new RegExp(name, 'gm'))?.length, 1, `${name} in: ${told}`)
      assert.doesNotMatch(said, SECRETS)
      assert.ok(!said.includes(privateKeyText))
      assert.doesNotMatch(said, /^ +at .*:\d+:\d+\)?$/m)
    })
  }
})
