/** Header values that Node refuses to send, as they come from users' own text. The client must get a problem of ours. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { KeelsonError } from '../../src/core/errors.ts'
import type { Problem } from '../../src/http/errors/index.ts'
import { dial, soon, startBorder } from './border-harness.ts'

const UNSENDABLE = 'Zażółć'

/** Ways in which a header that cannot be sent gets onto an answer, each with the status that the client must see. */
const WITH_UNSENDABLE: readonly (readonly [string, number, (app: FastifyInstance) => unknown])[] = [
  [
    'before an error',
    409,
    (app) =>
      app.get('/', async (_request, reply) => {
        reply.header('x-name', UNSENDABLE)
        throw new KeelsonError('X', 'conflict', 'x')
      }),
  ],
  ['on a success', 500, (app) => app.get('/', async (_request, reply) => reply.header('x-name', UNSENDABLE).send({}))],
  [
    'on a success that comes later',
    500,
    (app) => app.get('/', (_request, reply) => void setImmediate(() => reply.header('x-name', UNSENDABLE).send({}))),
  ],
  [
    'on a stream',
    500,
    (app) => app.get('/', async (_request, reply) => reply.header('x-name', UNSENDABLE).send(Readable.from(['a']))),
  ],
  ['on a 204', 500, (app) => app.get('/', async (_request, reply) => reply.header('x-name', UNSENDABLE).code(204).send())],
  [
    'in one line of many',
    500,
    (app) => app.get('/', async (_request, reply) => reply.headers({ 'x-name': ['a', UNSENDABLE] as never }).send({})),
  ],
  ['as a name', 500, (app) => app.get('/', async (_request, reply) => reply.header('x name', 'a').send({}))],
  [
    'from a hook that runs for every answer',
    500,
    (app) => {
      app.addHook('onSend', async (_request, reply) => void reply.header('x-name', UNSENDABLE))
      app.get('/', async () => ({}))
    },
  ],
]

for (const [how, status, routes] of WITH_UNSENDABLE) {
  test(`a header that cannot be sent, ${how}, leaves a whole problem of ours`, async () => {
    await using border = await startBorder({ routes: (app) => void routes(app) })
    const answer = await border.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal(answer.status, status, answer.text)
    assert.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8')
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
    assert.equal((JSON.parse(answer.body) as Problem).status, status)
    assert.doesNotMatch(answer.text, /ERR_|x.name|Invalid character/)
  })
}

test('a header that cannot be sent leaves a HEAD without a body', async () => {
  await using border = await startBorder({
    routes: (app) => app.head('/', async (_request, reply) => reply.header('x-name', UNSENDABLE).code(204).send()),
  })
  const socket = await dial(border.port)
  let text = ''
  socket.on('data', (chunk) => (text += String(chunk)))
  socket.write('HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  await once(socket, 'close', soon())
  assert.match(text, /^HTTP\/1\.1 500 [^]*\r\n\r\n$/)
})
