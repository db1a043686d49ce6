/** Which signal asks for what. Handlers only enqueue; the loop decides (the shape of gunicorn's arbiter). */
import { systemClock, type Clock } from '../core/clock.ts'

/** What a signal asks for. `interrupt` and `quit` are the first and the second Ctrl-C. */
export type SignalCommand = 'stop' | 'interrupt' | 'quit' | 'grow' | 'shrink' | 'ignore'

export type SupervisorSignal = 'SIGTERM' | 'SIGINT' | 'SIGTTIN' | 'SIGTTOU' | 'SIGHUP'

export const SIGNAL_COMMANDS: Readonly<Record<SupervisorSignal, SignalCommand>> = {
  SIGTERM: 'stop',
  SIGINT: 'interrupt',
  SIGTTIN: 'grow',
  SIGTTOU: 'shrink',
  // Caught all the same: Node's default would end the service when a terminal closes.
  SIGHUP: 'ignore',
}

/** A second SIGINT this soon is the same Ctrl-C: the terminal sends it to the whole group, and npm forwards it. */
const SAME_KEYPRESS_MS = 300

/** Returns a function that tells what each arriving signal asks for; nothing for the echo of a Ctrl-C. */
export function createSignalReader(clock: Clock = systemClock): (signal: SupervisorSignal) => SignalCommand | undefined {
  let interruptedAt: number | undefined
  return function read(signal) {
    if (signal !== 'SIGINT') return SIGNAL_COMMANDS[signal]
    if (interruptedAt === undefined) {
      interruptedAt = clock.now()
      return 'interrupt'
    }
    return clock.now() - interruptedAt < SAME_KEYPRESS_MS ? undefined : 'quit'
  }
}

/** Calls `enqueue` for each signal of the table until disposed. */
export function listenToSignals(enqueue: (signal: SupervisorSignal) => void): Disposable {
  const listeners = (Object.keys(SIGNAL_COMMANDS) as SupervisorSignal[]).map((signal) => {
    const onSignal = (): void => enqueue(signal)
    process.on(signal, onSignal)
    return { signal, onSignal }
  })
  return {
    [Symbol.dispose]() {
      for (const { signal, onSignal } of listeners) process.off(signal, onSignal)
    },
  }
}
