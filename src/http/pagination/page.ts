/** What a paged list takes and gives: schemas for both, and the `Link` to the next page. */
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { between, integerAtLeast, resolveOptions } from '../../core/options.ts'
import { MAX_CURSOR_LENGTH } from './cursor-codec.ts'

export interface PageQueryOptions {
  /** The most that one page may hold; a request for more is refused. Default: 100. */
  readonly maxLimit: number
  /** Items of a page where the caller asks for no number. Default: 20. */
  readonly defaultLimit: number
}

export const PAGE_QUERY_DEFAULTS: PageQueryOptions = { maxLimit: 100, defaultLimit: 20 }

/** Of a page as it is sent. */
export interface Page<Item> {
  readonly items: readonly Item[]
  /** Nothing comes after this page where it is `null`. */
  readonly nextCursor: string | null
}

/** `limit` and `cursor`, nothing else; add filters with `.extend()`. */
export type PageQuery = z.ZodObject<
  { limit: z.ZodPrefault<z.ZodPreprocess<z.ZodInt>>; cursor: z.ZodOptional<z.ZodString> },
  z.core.$strict
>

/** @throws KeelsonError `KEELSON_CONFIG_INVALID` */
export function pageQuery(given?: Partial<PageQueryOptions>): PageQuery {
  const { maxLimit, defaultLimit } = resolveOptions('pageQuery', PAGE_QUERY_DEFAULTS, given, {
    maxLimit: integerAtLeast(1),
    defaultLimit: between(1, given?.maxLimit ?? PAGE_QUERY_DEFAULTS.maxLimit),
  })
  return z.strictObject({
    // Not `default`, which the JSON Schema of the input would not show.
    limit: z.preprocess(readDecimal, z.int().min(1).max(maxLimit)).prefault(defaultLimit),
    cursor: z.string().min(1).max(MAX_CURSOR_LENGTH).optional(),
  })
}

/** Query strings are text; anything but plain digits stays text, and is refused as such: `Number` would read `1e2` and ` 7`. */
function readDecimal(value: unknown): unknown {
  return typeof value === 'string' && /^[1-9]\d{0,8}$/.test(value) ? Number(value) : value
}

/** The response schema of a page of `item`. */
export function pageOf<Item extends z.ZodType>(
  item: Item,
): z.ZodObject<{ items: z.ZodArray<Item>; nextCursor: z.ZodNullable<z.ZodString> }> {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable() })
}

/** What a client puts before the path in absolute form (RFC 9112 §3.2.2); it must not get into a link of ours. */
const SCHEME_AND_HOST = /^[a-z][a-z\d+.-]*:\/\/[^/?#]*/i

/**
 * The value of a `Link` header (RFC 8288) that leads to the next page: path and query of the request, with `cursor`.
 * Relative to the host, because a service behind a proxy does not know its name.
 */
export function linkNext({ originalUrl }: Pick<FastifyRequest, 'originalUrl'>, cursor: string): string {
  const target = originalUrl.replace(SCHEME_AND_HOST, '')
  const [path = ''] = target.split('?', 1)
  const search = new URLSearchParams(target.slice(path.length))
  search.set('cursor', cursor)
  return `<${safePath(path)}?${search.toString()}>; rel="next"`
}

/** One slash in front, because two begin the name of a host; and nothing that would end the link early. */
function safePath(path: string): string {
  return path.replace(/^[/\\]*/, '/').replaceAll(/[^\w\-.~!$&'()*+,;=:@/%]/gu, encodeURIComponent)
}
