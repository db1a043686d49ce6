/** A fault proxy in front of the test's Postgres, wherever that is: on a TCP port or on a unix socket. */
import { createFaultProxy, type FaultProxy } from '../../src/testing/index.ts'

export interface PostgresProxy extends AsyncDisposable {
  readonly proxy: FaultProxy
  /** The same database, through the proxy. */
  readonly url: string
  /** As if the server had been stopped: open connections break, new ones are refused. */
  takeDown(): Promise<void>
  bringBack(): Promise<void>
}

export async function proxyPostgres(databaseUrl: string): Promise<PostgresProxy> {
  const url = new URL(databaseUrl)
  const folder = url.searchParams.get('host')
  const port = Number(url.port || 5432)
  const target = folder?.startsWith('/') ? { path: `${folder}/.s.PGSQL.${port}` } : { host: folder ?? url.hostname, port }
  const proxy = await createFaultProxy({ target })
  url.searchParams.delete('host')
  url.hostname = proxy.host
  url.port = String(proxy.port)
  return {
    proxy,
    url: url.href,
    async takeDown() {
      await proxy.set('refuse')
      proxy.killAll()
    },
    bringBack: () => proxy.set('pass'),
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  }
}
