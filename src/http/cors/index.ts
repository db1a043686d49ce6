/** `keelson/http/cors`: cross-origin access for listed origins, and for nobody else. */
export { cors, CORS_DEFAULTS, type CorsOptions } from './cors.ts'
