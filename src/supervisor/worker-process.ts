/** Workers as processes of their own, with a pipe to the arbiter and the shared listening socket. */
import { fork, type ChildProcess } from 'node:child_process'
import { PROTOCOL_VERSION, WORKER_ENV, type FromWorker } from './protocol.ts'
import type { Launch, Launcher } from './worker.ts'

/** The program that workers run; it calls `runWorker`. */
export interface WorkerProgram {
  /** The module to run. */
  readonly entry: string | URL
  /** Its arguments. Default: none. */
  readonly args?: readonly string[] | undefined
  /** Options for Node itself. Default: those of this process. */
  readonly execArgv?: readonly string[] | undefined
  /** The whole environment. Default: that of this process. */
  readonly env?: NodeJS.ProcessEnv | undefined
}

/** Returns a launcher that forks `program` and hands it the descriptor `listenFd`. */
export function processLauncher(program: WorkerProgram, listenFd: number): Launcher {
  return function launchProcess(launch) {
    const child = forkWorker(program, listenFd, launch)
    child.on('message', (message) => launch.onMessage(message as FromWorker))
    onceGone(child, launch.onExit)
    return {
      pid: child.pid,
      // The callback takes the error of a pipe that has just closed: the exit that follows says it all.
      send: (message) => void child.send(message, () => {}),
      kill: () => void child.kill('SIGKILL'),
    }
  }
}

function forkWorker(program: WorkerProgram, listenFd: number, { id, workerCount }: Launch): ChildProcess {
  return fork(program.entry, program.args, {
    execArgv: [...(program.execArgv ?? process.execArgv)],
    env: {
      ...(program.env ?? process.env),
      [WORKER_ENV.version]: String(PROTOCOL_VERSION),
      [WORKER_ENV.id]: String(id),
      [WORKER_ENV.count]: String(workerCount),
    },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', listenFd],
    serialization: 'advanced',
    // A process group of its own, so that Ctrl-C in a terminal reaches the arbiter alone.
    detached: true,
  })
}

/** Calls `fn` once the process has ended and its last message has been read: `exit` may come before the latter. */
function onceGone(child: ChildProcess, fn: Launch['onExit']): void {
  child.once('exit', (code, signal) => {
    if (child.connected) child.once('disconnect', () => fn(code, signal))
    else fn(code, signal)
  })
  child.on('error', () => {
    if (child.pid === undefined) fn(null, null)
  })
}
