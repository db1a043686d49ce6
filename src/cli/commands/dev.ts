/** `keelson dev`: the development start, begun again whenever a file of the service changes; the database stays up. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { dirname } from 'node:path'
import type { Command } from '../command.ts'
import { embeddedDatabase } from '../embedded-database.ts'
import type { Invocation } from '../invocation.ts'
import { createProgress } from '../progress.ts'
import { watchFiles } from '../watch-files.ts'

export const dev: Command = {
  usage: 'dev [--env-file FILE] [service file]',
  about:
    'Runs the service for development and restarts it when a file in its folder changes. An error waits for the next change.',
  options: {},
  optionHelp: {},
  async run(invocation) {
    await using database = await embeddedDatabase(invocation.environment, createProgress())
    const env = { ...process.env, ...(database ? { DATABASE_URL: database.url } : {}) }
    using changes = watchFiles(dirname(invocation.servicePath))
    const stopped = stopRequested()
    for (;;) {
      const child = startChild(invocation, env)
      const ended = once(child, 'exit')
      const why = await Promise.race([changes.next(), stopped, ended.then(() => 'ended' as const)])
      if (why === 'ended') {
        console.error('keelson dev: the service has ended; waiting for a change')
        if ((await Promise.race([changes.next(), stopped])) === 'stop') return 0
        continue
      }
      // The terminal's Ctrl-C has reached the child as well; a signal to this process alone has not.
      child.kill('SIGTERM')
      await ended
      if (why === 'stop') return 0
      console.error('keelson dev: something changed, starting again')
    }
  },
}

/** A process of its own, so that nothing of the old code is left in memory. */
function startChild(invocation: Invocation, env: NodeJS.ProcessEnv): ChildProcess {
  const main = process.argv[1] ?? ''
  const envFiles = invocation.values('env-file').flatMap((path) => ['--env-file', path])
  const args = [...process.execArgv, main, 'start', '--development', ...envFiles, invocation.servicePath]
  return spawn(process.execPath, args, { stdio: 'inherit', env })
}

function stopRequested(): Promise<'stop'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve('stop'))
  })
}
