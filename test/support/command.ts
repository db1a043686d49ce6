/** The command line as a program: `keelson …` in a folder of its own, with nothing of this process's environment. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT: string = fileURLToPath(new URL('../../', import.meta.url))
export const USERS: string = join(ROOT, 'examples/users/service.ts')
const MAIN = join(ROOT, 'src/cli/main.ts')

export type ExitStatus = number | NodeJS.Signals
export type Variables = Readonly<Record<string, string | undefined>>

export interface CommandResult {
  readonly status: ExitStatus
  readonly stdout: string
  readonly stderr: string
}

export interface CommandOptions {
  /** Default: nothing but what a process needs to run. */
  readonly env?: Variables | undefined
  /** Default: the system's folder for temporary files. */
  readonly folder?: string | undefined
}

/** A temporary folder whose path has spaces, as on many desktops; removed at the end. */
export function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'keelson run in '))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }) }
}

/** Starts `keelson` with these arguments. It is killed when this process ends, however that happens. */
export function spawnKeelson(args: readonly string[], { env = {}, folder = tmpdir() }: CommandOptions = {}): ChildProcess {
  const { PATH, HOME, TMPDIR } = process.env
  const child = spawn(process.execPath, ['--conditions=keelson-source', MAIN, ...args], {
    cwd: folder,
    env: { PATH, HOME, TMPDIR, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  guard(child)
  return child
}

/** Runs `keelson` to its end. */
export async function keelson(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const child = spawnKeelson(args, options)
  const said = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said.stderr += text))
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { status: code ?? signal!, ...said }
}

/** A shell that waits for the end of our pipe; what the child has started then ends by itself. */
function guard(child: ChildProcess): void {
  const shell = spawn('sh', ['-c', 'read -r _; kill -9 $0 2>/dev/null', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  shell.unref()
  shell.stdin.on('error', () => {})
  ;(shell.stdin as unknown as { unref?(): void }).unref?.()
  child.once('exit', () => shell.kill('SIGKILL'))
}
