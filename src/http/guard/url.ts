/** A URL that every part of the way reads alike: no hidden slashes, dots, NULs or broken escapes. */
import { KeelsonError } from '../../core/errors.ts'

/** A `%` that escapes nothing, or a NUL, anywhere. Databases refuse NUL with an error of their own. */
const BROKEN_ESCAPE = /%(?:00|(?![\da-f]{2}))/i
const ENCODED_SLASH = /%(?:2f|5c)/i
/** `.` and `..` as whole segments, plain or escaped: clients resolve them before they send. */
const DOT_SEGMENT = /(?:^|[/\\])(?:\.|%2e){1,2}(?:[/\\]|$)/i

/** @returns a function that says why the URL is refused, if it is. */
export function createUrlCheck(maxLength: number, allowEncodedSlash: boolean): (url: string) => KeelsonError | undefined {
  return function checkUrl(url) {
    if (url.length > maxLength) {
      return new KeelsonError('KEELSON_URL_TOO_LONG', 'invalid', `the URL is longer than ${maxLength} characters`)
    }
    const escaped = url.includes('%')
    if (!escaped && !url.includes('/.')) return undefined
    if (escaped && BROKEN_ESCAPE.test(url)) return refusal('the URL has a broken escape, or a NUL')
    const path = url.slice(0, pathLength(url))
    if (DOT_SEGMENT.test(path)) return refusal('the path has a segment of dots')
    if (!allowEncodedSlash && ENCODED_SLASH.test(path)) return refusal('the path has an escaped slash')
    return undefined
  }
}

function pathLength(url: string): number {
  const query = url.indexOf('?')
  return query === -1 ? url.length : query
}

function refusal(message: string): KeelsonError {
  return new KeelsonError('KEELSON_URL_MALFORMED', 'invalid', message)
}
