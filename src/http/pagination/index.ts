/** `keelson/http/pagination`: signed cursors, and the query, body and `Link` of a paged list. */
export {
  createCursorCodec,
  MAX_CURSOR_LENGTH,
  type CursorCodec,
  type CursorCodecOptions,
  type CursorValue,
} from './cursor-codec.ts'
export type { CursorScope, FilterValue } from './cursor-scope.ts'
export { linkNext, PAGE_QUERY_DEFAULTS, pageOf, pageQuery, type Page, type PageQuery, type PageQueryOptions } from './page.ts'
