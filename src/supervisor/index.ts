/** `keelson/supervisor`: runs a service in worker processes that can be replaced without losing a request. */
export { createArbiter, ARBITER_DEFAULTS, type ArbiterOptions, type ArbiterSettings } from './arbiter.ts'
export { runSingle, type SingleOptions } from './single.ts'
export { runWorker } from './run-worker.ts'
export type { Boot, WorkerAgent, WorkerService } from './service-host.ts'
export type { Supervisor } from './supervisor.ts'
export { STOP_DEFAULTS, type RunOptions, type StopOptions } from './options.ts'
export {
  RESTART_DEFAULTS,
  createRestartPolicy,
  type RestartDecision,
  type RestartOptions,
  type RestartPolicy,
} from './restart-policy.ts'
export { openListener, type ListenAddress, type Listener } from './listener.ts'
export { trackConnections, type Connections, type DrainOptions, type DrainOutcome } from './drain.ts'
export type { AdminAnswer, AdminOptions, AdminPage, AdminRequest, PageContext } from './admin.ts'
export { livez, readyz, startupz, type Phase, type ProbeAnswer, type SupervisorState } from './probes.ts'
export type { MergeMetrics, Reports } from './reports.ts'
export type { WorkerState, WorkerStatus } from './worker.ts'
export type { WorkerProgram } from './worker-process.ts'
export type { ErrorSummary, Readiness, WorkerReport } from './protocol.ts'
export { createSignalReader, SIGNAL_COMMANDS, type SignalCommand, type SupervisorSignal } from './signals.ts'
export { EXIT_CODES } from './exit-codes.ts'
export * from './events.ts'
