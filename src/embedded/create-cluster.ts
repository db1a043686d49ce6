/**
 * Makes a cluster with `initdb`, in a folder of its own that gets its name only when it is whole and on the disk.
 * Sort order and case rules come from Postgres' own tables, so they don't differ between machines.
 */
import { spawn } from 'node:child_process'
import { chownSync, closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { onAbort } from '../core/abort.ts'
import { POSTGRES_ENVIRONMENT, type Account } from './account.ts'
import { embeddedError } from './errors.ts'

/** The superuser's name, and the only one's. */
export const POSTGRES_USER = 'postgres'

export interface ClusterSite {
  readonly dataFolder: string
  readonly binaries: string
  readonly account: Account | undefined
  /** Whether what is committed must be on the disk. */
  readonly durable: boolean
}

/**
 * @throws KeelsonError `KEELSON_EMBEDDED_START_FAILED` with what `initdb` said.
 * @throws `signal.reason`; then `initdb` is gone, and what it made counts for nothing.
 */
export async function createCluster(site: ClusterSite, signal: AbortSignal): Promise<void> {
  const draft = join(site.dataFolder, 'data.new')
  rmSync(draft, { recursive: true, force: true })
  mkdirSync(draft, { mode: 0o700 })
  if (site.account) chownSync(draft, site.account.uid, site.account.gid)
  await runInitdb(site, draft, signal)
  renameSync(draft, join(site.dataFolder, 'data'))
  if (site.durable) syncFolder(site.dataFolder)
}

/**
 * The path under which Postgres, working in `cluster`, can reach it. As a lent user it may not be able to pass through the
 * folders above (below /root, say); Linux leads /proc/self/cwd straight to it.
 */
export function pathForPostgres(cluster: string, account: Account | undefined): string {
  return account && process.platform === 'linux' ? '/proc/self/cwd' : cluster
}

async function runInitdb(site: ClusterSite, draft: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  // `trust`: whoever reaches the socket is let in, and only this user can reach it; there is no other way in.
  const args = ['-D', pathForPostgres(draft, site.account), '--username', POSTGRES_USER, '--auth=trust', '--no-instructions']
  const rules = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  const child = spawn(join(site.binaries, 'bin/initdb'), [...args, ...rules, ...(site.durable ? [] : ['--no-sync'])], {
    cwd: draft,
    env: POSTGRES_ENVIRONMENT,
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that the servers it starts can be ended with it.
    detached: true,
    ...site.account,
  })
  const output: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
  const outcome = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, killedBy) => resolve(code === 0 ? '' : `it ended with ${code ?? killedBy}`))
  })
  using _ending = onAbort(signal, () => endGroup(child.pid))
  const problem = await outcome
  signal.throwIfAborted()
  if (problem) throw failed(problem, Buffer.concat(output).toString('utf8'))
}

function endGroup(leader: number | undefined): void {
  if (leader === undefined) return
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // It ended by itself a moment ago.
  }
}

function failed(problem: string, output: string): Error {
  const said = output.trim().split('\n').slice(-8).join('\n')
  return embeddedError('KEELSON_EMBEDDED_START_FAILED', `initdb could not make a database cluster: ${problem}\n${said}`)
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r')
  fsyncSync(descriptor)
  closeSync(descriptor)
}
