/** `keelson/http/headers`: the security headers of an API, on every reply. */
export { API_HEADERS, HSTS } from '../errors/index.ts'
export { headers, HEADERS_DEFAULTS, type HeadersOptions } from './headers.ts'
export { vary } from './vary.ts'
