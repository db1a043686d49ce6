/** What the arbiter has started ends with it, whatever either of them was doing. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually, get, isAlive, startProgram, text } from './fixtures/running.ts'

for (const moment of ['before', 'after'] as const) {
  test(`the opener ends without a word when the arbiter dies ${moment} the port is bound`, async () => {
    const port = await freePort()
    await using asker = startAsker(port)
    await once(asker.child.stdout, 'data')
    if (moment === 'after') await eventually('the port to be bound', () => accepts(port))
    asker.child.kill('SIGKILL')
    await eventually('the opener to end', () => asker.child.stderr.closed)
    assert.equal(asker.complaints.join(''), '')
    await free(port)
  })
}

describe('a worker whose event loop stands still', { concurrency: true }, () => {
  test('ends all the same when its arbiter is killed, and the port is free', async () => {
    await using service = await startProgram()
    await service.log.first('arbiter.ready')
    const { pid } = await service.log.first('worker.started')
    using _worker = { [Symbol.dispose]: () => kill(pid as number) }
    const hanging = await get(`${service.url}/block`)
    service.child.kill('SIGKILL')
    await eventually('the worker to end', () => !isAlive(pid), 6_000)
    await assert.rejects(hanging.text())
    await free(service.port)
  })

  test('is left alone by its watchdog while the arbiter lives', async () => {
    await using service = await startProgram()
    await service.log.first('arbiter.ready')
    assert.equal(await text(`${service.url}/block?ms=3500`), 'blocked')
    assert.deepEqual(service.log.all('worker.exited'), [])
  })
})

interface Asker extends AsyncDisposable {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  readonly complaints: readonly string[]
}

/** A process that dies while its opener runs. Both write to one stderr, which is closed when the last of them has ended. */
function startAsker(port: number): Asker {
  const program = fileURLToPath(new URL('./fixtures/asker.ts', import.meta.url))
  const child = spawn(process.execPath, [program, String(port)], { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const complaints: string[] = []
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => complaints.push(chunk))
  return {
    child,
    complaints,
    async [Symbol.asyncDispose]() {
      kill(-(child.pid as number))
    },
  }
}

/** A process, or the group behind a negative id; either may have ended already. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {}
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A process that ends closes its output, or is seen to have ended, a moment before it lets go of the port. */
async function free(port: number): Promise<void> {
  await eventually('the port to be free', async () => !(await accepts(port)), 2_000)
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port })
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
