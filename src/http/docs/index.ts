/** `keelson/http/docs`: the API's own description, as OpenAPI 3.1 and as a page. */
export { docs, DOCS_DEFAULTS, type DocsOptions } from './docs.ts'
