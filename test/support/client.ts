/** A caller with one connection that is kept open, so that all its requests reach the same worker. Nothing is retried. */
import { randomUUID } from 'node:crypto'
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** Time from the call to the last byte, in milliseconds. */
  readonly ms: number
  readonly requestId: string
  json<T>(): T
}

export interface CallOptions {
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Leaves when it aborts: the connection is cut. */
  readonly signal?: AbortSignal
}

/** A call that failed below HTTP. */
export class CallFailed extends Error {
  /** `ECONNREFUSED`, `ECONNRESET`, …; `HUNG` where no answer came in time. */
  readonly code: string
  readonly requestId: string
  /** Whether the connection had served before. */
  readonly reused: boolean

  constructor(code: string, requestId: string, reused: boolean, options?: ErrorOptions) {
    super(`${code} (${reused ? 'connection in use' : 'new connection'}, request ${requestId})`, options)
    this.code = code
    this.requestId = requestId
    this.reused = reused
  }
}

const PATIENCE_MS = 15_000

export class Client implements Disposable {
  readonly #url: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #agent: Agent

  constructor(url: string, headers: Readonly<Record<string, string>> = {}, keepAlive = true) {
    this.#url = url
    this.#headers = headers
    this.#agent = new Agent({ keepAlive, maxSockets: 1 })
  }

  get(path: string, options: CallOptions = {}): Promise<Answer> {
    return this.call('GET', path, options)
  }

  /** @throws CallFailed */
  call(method: string, path: string, { body, headers, signal }: CallOptions = {}): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const startedAt = performance.now()
    const payload = body === undefined ? undefined : JSON.stringify(body)
    const requestId = headers?.['x-request-id'] ?? randomUUID()
    const sent = httpRequest(new URL(path, this.#url), {
      method,
      agent: this.#agent,
      ...(signal ? { signal } : {}),
      headers: {
        ...this.#headers,
        ...(payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
        ...headers,
        'x-request-id': requestId,
      },
    })
    const timer = setTimeout(() => sent.destroy(Object.assign(new Error('no answer'), { code: 'HUNG' })), PATIENCE_MS)
    const fail = (error: NodeJS.ErrnoException): void =>
      reject(new CallFailed(error.code ?? error.message, requestId, sent.reusedSocket, { cause: error }))
    sent.on('error', fail)
    sent.on('close', () => clearTimeout(timer))
    sent.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('error', fail)
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: text,
          ms: performance.now() - startedAt,
          requestId,
          json: <T>() => JSON.parse(text) as T,
        }),
      )
    })
    sent.end(payload)
    return promise
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }
}
