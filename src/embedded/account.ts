/**
 * The user that Postgres runs as. It refuses root, so root lends it another one: whoever owns the cluster's folder, else
 * `nobody`. That user must be in /etc/passwd, because `initdb` looks its name up.
 */
import { readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { embeddedError } from './errors.ts'

/** In the shape that `child_process.spawn` takes. */
export interface Account {
  readonly uid: number
  readonly gid: number
}

/** @returns `undefined` where Postgres can run as who we are. */
export function chooseAccount(cluster: string): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  const accounts = readAccounts()
  const account = accounts.get(String(ownerOf(cluster))) ?? accounts.get('nobody')
  if (account) return account
  throw embeddedError(
    'KEELSON_EMBEDDED_UNAVAILABLE',
    'Postgres refuses to run as root, and /etc/passwd has no `nobody` to run it as; run this as another user, or set DATABASE_URL',
  )
}

/** Accounts that aren't root's, by name and by uid. */
function readAccounts(): ReadonlyMap<string, Account> {
  const accounts = new Map<string, Account>()
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [name, , uid, gid] = line.split(':')
    if (!name || !uid || !gid || uid === '0') continue
    accounts.set(name, { uid: Number(uid), gid: Number(gid) }).set(uid, { uid: Number(uid), gid: Number(gid) })
  }
  return accounts
}

/** Of the folder, or of the nearest one above that exists: under sudo, the project's owner gets what is made in it. */
function ownerOf(folder: string): number {
  const found = statSync(folder, { throwIfNoEntry: false })
  return found ? found.uid : ownerOf(dirname(folder))
}

/** Everything that Postgres' programs get of the environment: nothing of the user's PG*, LC_*, TZ or LD_* reaches them. */
export const POSTGRES_ENVIRONMENT: Readonly<Record<string, string>> = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
