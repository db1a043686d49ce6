/** The one moment when a response is over, however it ends. */
import type { ServerResponse } from 'node:http'

/**
 * Calls `fn` once: with `true` when the whole answer was handed to the system, with `false` when the connection ended
 * before. Both events are needed: `close` comes alone when the client leaves, and its `writableFinished` is not to be
 * relied on (light-my-request's is never true).
 */
export function onResponseEnd(response: ServerResponse, fn: (completed: boolean) => void): void {
  let over = false
  function end(completed: boolean): void {
    if (over) return
    over = true
    fn(completed)
  }
  response.once('finish', () => end(true))
  response.once('close', () => end(false))
}
