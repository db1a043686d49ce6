/** What the exit status of the service says to whoever started it: systemd, Kubernetes, a shell. */
export const EXIT_CODES = {
  /** Stopped as asked; every worker left by itself. */
  ok: 0,
  /** Nothing ever became ready, a worker had to be killed while stopping, or a process failed. */
  failure: 1,
  /** The configuration is wrong, so trying again is pointless; `EX_CONFIG` of sysexits(3). */
  config: 78,
  /** Quit by a second Ctrl-C: 128 + SIGINT, as a shell would report it. */
  interrupted: 130,
} as const
