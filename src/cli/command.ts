/** What a command of `keelson` is: options in the form of `node:util` parseArgs, one function, one exit code. */
import type { ParseArgsOptionsConfig } from 'node:util'
import type { Invocation } from './invocation.ts'

export interface Command {
  /** The line after `keelson`, e.g. `start [options] [service file]`. */
  readonly usage: string
  /** What it does, in a few sentences. */
  readonly about: string
  /** Options beside those that every command has. */
  readonly options: ParseArgsOptionsConfig
  /** What each option does, for the help text. */
  readonly optionHelp: Readonly<Record<string, string>>
  /** @returns the exit code. */
  run(invocation: Invocation): Promise<number>
}

/** BSD's sysexits.h, which shells and service managers know. */
export const EXIT_USAGE = 64
export const EXIT_CONFIG = 78
