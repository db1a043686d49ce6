/** The users service on a real socket, a peer that sends it whatever bytes it likes, and what every answer must have. */
import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import service from '../../examples/users/service.ts'
import { testService, type TestService } from '../../src/testing/index.ts'
import { renderPrometheus } from '../../src/core/prometheus.ts'
import { AUDIENCE, CLAIMS, HEADER, hmac, ISSUER, SECRET } from '../http/auth-forge.ts'
import { dial, parseAnswer, type Answer } from '../http/border-harness.ts'
import { eventually } from '../support/waiting.ts'

export interface HostileCase {
  readonly what: string
  readonly bytes: string | Buffer
  readonly status: number
  /** The problem's code, or the one of a field in it; nothing where the answer is a good one. */
  readonly code?: string | undefined
  /** Who refuses it before any hook sees it: what the parser cannot read has no `X-Request-Id` either. */
  readonly by?: 'parser' | 'router' | undefined
  /** More than one where requests are sent one behind the other; the last is what counts. Default: 1. */
  readonly answers?: number | undefined
}

/** A request that is understood and refused. */
export function refused(what: string, bytes: string | Buffer, status: number, code: string): HostileCase {
  return { what, bytes, status, code }
}

/** Bytes that never become a request. */
export function unread(what: string, bytes: string | Buffer, status: number, code = 'KEELSON_REQUEST_MALFORMED'): HostileCase {
  return { what, bytes, status, code, by: 'parser' }
}

/** A request that no route can be looked up for. */
export function unrouted(what: string, bytes: string | Buffer, status: number, code: string): HostileCase {
  return { what, bytes, status, code, by: 'router' }
}

/** A request that only looks bad: it is answered as if the odd part were not there. */
export function served(what: string, bytes: string | Buffer, status = 200): HostileCase {
  return { what, bytes, status }
}

const PATIENCE_MS = 10_000
const DRIP_MS = 100
const SOON_SECONDS = Math.floor(Date.now() / 1_000) + 600

/** A good token with every scope, but for what is given; `undefined` takes a claim away. */
export function token(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): string {
  return hmac({ ...HEADER, ...header }, claimsWith(claims))
}

export function claimsWith(claims: Record<string, unknown>): Record<string, unknown> {
  return { ...CLAIMS, exp: SOON_SECONDS, ...claims }
}

const GOOD_TOKEN = token()

export interface Parts {
  /** Header lines, each ending in CRLF. Default: none. */
  readonly headers?: string
  readonly body?: string | Buffer
  /** Default: `application/json`; an empty text for none. */
  readonly type?: string
  /** Default: a good one; an empty text for none. */
  readonly bearer?: string
  /** Whether more follows on this connection. Default: false. */
  readonly more?: boolean
}

/** A request in which everything is right but what is given. */
export function request(method: string, target: string, parts: Parts = {}): Buffer {
  const { headers = '', body, type = 'application/json', bearer = GOOD_TOKEN, more = false } = parts
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: users.example']
  if (!more) lines.push('Connection: close')
  if (bearer !== '') lines.push(`Authorization: Bearer ${bearer}`)
  if (body !== undefined && type !== '') lines.push(`Content-Type: ${type}`)
  if (body !== undefined) lines.push(`Content-Length: ${Buffer.byteLength(body)}`)
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n${headers}\r\n`), Buffer.from(body ?? '')])
}

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
}

type LogLine = TestService['logs'][number]

export class Target implements AsyncDisposable {
  readonly #service: TestService
  readonly #port: number
  readonly #refusedBy = { parser: 0, router: 0 }

  private constructor(running: TestService, port: number) {
    this.#service = running
    this.#port = port
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<Target> {
    const keys = { JWT_SECRET: SECRET, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE }
    const running = await testService(service, { env: { ...keys, ...env } })
    return new Target(running, Number(new URL(await running.listen()).port))
  }

  get logs(): readonly LogLine[] {
    return this.#service.logs
  }

  converse(...pieces: readonly (string | Buffer)[]): Promise<readonly Answer[]> {
    return converse(this.#port, ...pieces)
  }

  /** Sends the bytes and is gone. */
  async abandon(bytes: string): Promise<void> {
    const socket = await dial(this.#port)
    await new Promise((sent) => socket.write(bytes, sent))
    socket.destroy()
  }

  /** Sends a case, and checks all that is true of every case. */
  async check({ what, bytes, status, code, by, answers = 1 }: HostileCase): Promise<Answer> {
    const got = await this.converse(bytes)
    const summary = got.map((one) => one.text).join('\n')
    assert.equal(got.length, answers, `${what}: ${got.length} answers: ${summary}`)
    const last = got.at(-1)!
    assert.equal(last.status, status, summary)
    assert.deepEqual(pick(last.headers, Object.keys(SECURITY_HEADERS)), SECURITY_HEADERS)
    assert.doesNotMatch(summary, /FST_|HPE_|SELECT|INSERT|node_modules|\bat .*\.[jt]s|^(Server|X-Powered-By):/im)
    if (code !== undefined) checkProblem(last, code)
    const id = last.headers['x-request-id']
    if (by === 'parser') assert.equal(id, undefined)
    else assert.match(id ?? '', /^[A-Za-z0-9._-]{8,64}$/)
    if (by === undefined) await this.#checkLog(id!, status)
    else this.#refusedBy[by] += 1
    await this.checkServes()
    return last
  }

  /** Exactly one line, which tells of the answer, and of nothing that went wrong with us. */
  async #checkLog(requestId: string, status: number): Promise<void> {
    const linesOfIt = (): readonly LogLine[] => this.logs.filter((line) => line['requestId'] === requestId)
    await eventually(`the log line of ${requestId}`, () => linesOfIt().length > 0)
    assert.deepEqual(
      linesOfIt().map((line) => [line['msg'], line['status'], line['level']]),
      [['request', status, 'info']],
    )
  }

  /** It is alive, and does its work. */
  async checkServes(): Promise<void> {
    const [answer] = await this.converse(request('GET', '/protected'))
    assert.equal(answer?.body, '{"message":"Hello ada"}')
  }

  /** Their lines in the log are sampled, so that a flood stays readable; the metric counts each. */
  async checkRefusalsCounted(): Promise<void> {
    const text = renderPrometheus(await this.#service.app.metrics.collect())
    const counted = { parser: 0, router: 0 }
    for (const [, by, count] of text.matchAll(/^http_requests_refused_total\{by="(parser|router)".*\} (\d+)$/gm)) {
      counted[by as 'parser' | 'router'] += Number(count)
    }
    assert.deepEqual(counted, this.#refusedBy)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service[Symbol.asyncDispose]()
  }
}

/**
 * Sends the pieces, a tenth of a second between them, and reads until the server has closed the connection: one that
 * does not is a hang.
 */
export async function converse(port: number, ...pieces: readonly (string | Buffer)[]): Promise<readonly Answer[]> {
  const socket = await dial(port)
  const hung = setTimeout(() => socket.destroy(new Error('the connection was left open')), PATIENCE_MS)
  try {
    const received = text(socket.setEncoding('latin1'))
    for (const [i, piece] of pieces.entries()) {
      if (i > 0) await sleep(DRIP_MS)
      if (!socket.writable) break
      socket.write(piece)
    }
    return [...answersIn(await received)]
  } finally {
    clearTimeout(hung)
    socket.destroy()
  }
}

/** One after another by their lengths, without the interim ones; bytes are still as they came. */
function* answersIn(received: string): Generator<Answer> {
  for (let left = received; left !== '';) {
    const head = left.indexOf('\r\n\r\n') + 4
    const length = Number(/^content-length: (\d+)/im.exec(left.slice(0, head))?.[1] ?? 0)
    const whole = head >= 4 && left.length >= head + length
    assert.ok(whole, `half an answer: ${left}`)
    if (!left.startsWith('HTTP/1.1 1')) yield parseAnswer(Buffer.from(left.slice(0, head + length), 'latin1').toString())
    left = left.slice(head + length)
  }
}

export function checkProblem({ status, headers, body }: Answer, code: string): void {
  assert.equal(headers['content-type'], 'application/problem+json; charset=utf-8')
  const problem = JSON.parse(body) as { status: number; instance: string; code: string; errors?: { code: string }[] }
  assert.equal(problem.status, status)
  assert.match(problem.instance, /^urn:uuid:[0-9a-f-]{36}$/)
  const codes = [problem.code, ...(problem.errors ?? []).map((field) => field.code)]
  assert.ok(codes.includes(code), `${code} in ${body}`)
}

function pick(headers: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string | undefined> {
  return Object.fromEntries(names.map((name) => [name, headers[name]]))
}
