/**
 * Cursors: where the last page ended, as a text that a client carries and cannot change.
 * Base64url of key id, HMAC-SHA-256 (cut to 16 bytes, RFC 2104 §5) and compact JSON. Signed, not encrypted: the values
 * can be read by whoever holds the cursor.
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { systemClock, type Clock } from '../../core/clock.ts'
import { invalidOption, resolveOptions } from '../../core/options.ts'
import { cursorInvalid } from './cursor-invalid.ts'
import { fingerprint, type CursorScope } from './cursor-scope.ts'

/** One value of a row's sort key. Timestamps as text from the database: a `Date` has lost their microseconds. */
export type CursorValue = string | number

export interface CursorCodecOptions {
  /** At least 32 bytes, the same in all processes of the service. A key of its own is derived from it. */
  readonly secret: string | Uint8Array
  /** Former secrets, whose cursors are still good. Default: none. */
  readonly previousSecrets?: readonly (string | Uint8Array)[] | undefined
  /** How long a cursor is good, in milliseconds. Default: `Infinity`. */
  readonly maxAgeMs?: number | undefined
  /** Default: the system's. */
  readonly clock?: Clock | undefined
}

export interface CursorCodec {
  /** @throws TypeError unless there is one value, text or a finite number, for each column of the order. */
  encode(cursor: CursorScope & { readonly values: readonly CursorValue[] }): string
  /**
   * @returns the values that were encoded.
   * @throws KeelsonError `KEELSON_CURSOR_INVALID` (kind `invalid`) for any text that this service did not make for this list.
   */
  decode(text: string, scope: CursorScope): readonly CursorValue[]
}

/** Longer texts are refused unread; also the bound of `pageQuery`. */
export const MAX_CURSOR_LENGTH = 1_024

const VERSION = 1
const MIN_SECRET_BYTES = 32
const KEY_ID_BYTES = 2
const MAC_BYTES = 16

const OWNER = 'createCursorCodec'
const DEFAULTS = { maxAgeMs: Infinity, clock: systemClock }

/** @throws KeelsonError `KEELSON_CONFIG_INVALID` if a secret is too short. */
export function createCursorCodec({ secret, previousSecrets = [], ...given }: CursorCodecOptions): CursorCodec {
  const { maxAgeMs, clock } = resolveOptions(OWNER, DEFAULTS, given, {
    maxAgeMs: (v) => (typeof v === 'number' && v > 0 ? undefined : 'must be a number > 0'),
  })
  const current = deriveKey('secret', secret)
  const keys = [current, ...previousSecrets.map((previous) => deriveKey('previousSecrets', previous))]

  return {
    encode({ values, order, filter }) {
      checkValues(values, order.length)
      const content: Content = [VERSION, Math.floor(clock.wallNow() / 1_000), fingerprint(order, filter), ...values]
      const json = Buffer.from(JSON.stringify(content))
      const text = Buffer.concat([current.id, macOf(current, json), json]).toString('base64url')
      if (text.length > MAX_CURSOR_LENGTH) throw new TypeError(`a cursor is at most ${MAX_CURSOR_LENGTH} characters long`)
      return text
    },

    decode(text, { order, filter }) {
      const [version, issuedAt, list, ...values] = open(text, keys)
      if (version !== VERSION || values.length !== order.length) throw cursorInvalid()
      if (list !== fingerprint(order, filter)) throw cursorInvalid()
      if (clock.wallNow() - issuedAt * 1_000 > maxAgeMs) throw cursorInvalid()
      return values
    },
  }
}

/** Version, seconds since the epoch, fingerprint of order and filter, then the values. */
type Content = readonly [version: number, issuedAt: number, list: string, ...values: CursorValue[]]

interface Key {
  readonly id: Buffer
  readonly bytes: Buffer
}

/** HKDF (RFC 5869), so that a secret which also signs tokens is never used for two things. */
function deriveKey(option: string, secret: string | Uint8Array): Key {
  const bytes = typeof secret === 'string' ? Buffer.from(secret, 'utf8') : secret
  if (!(bytes instanceof Uint8Array) || bytes.length < MIN_SECRET_BYTES) {
    throw invalidOption(OWNER, option, `must have at least ${MIN_SECRET_BYTES} bytes`, '(hidden)')
  }
  const derived = Buffer.from(hkdfSync('sha256', bytes, '', 'keelson cursor v1', 32 + KEY_ID_BYTES))
  return { id: derived.subarray(32), bytes: derived.subarray(0, 32) }
}

function macOf(key: Key, json: Buffer): Buffer {
  return createHmac('sha256', key.bytes).update(key.id).update(json).digest().subarray(0, MAC_BYTES)
}

function open(text: string, keys: readonly Key[]): Content {
  if (typeof text !== 'string' || text.length > MAX_CURSOR_LENGTH) throw cursorInvalid()
  const bytes = Buffer.from(text, 'base64url')
  // Base64url overlooks stray bits and foreign characters; here one cursor has one text.
  if (bytes.toString('base64url') !== text) throw cursorInvalid()
  const id = bytes.subarray(0, KEY_ID_BYTES)
  const mac = bytes.subarray(KEY_ID_BYTES, KEY_ID_BYTES + MAC_BYTES)
  const json = bytes.subarray(KEY_ID_BYTES + MAC_BYTES)
  if (mac.length !== MAC_BYTES) throw cursorInvalid()
  // Two secrets may derive the same short id; each that fits is tried.
  const genuine = keys.some((key) => key.id.equals(id) && timingSafeEqual(macOf(key, json), mac))
  if (!genuine) throw cursorInvalid()
  return JSON.parse(json.toString('utf8')) as Content
}

function checkValues(values: readonly unknown[], columns: number): void {
  if (values.length !== columns)
    throw new TypeError(`a cursor needs ${columns} values, one for each column, got ${values.length}`)
  const bad = values.some((value) => typeof value !== 'string' && !Number.isFinite(value))
  if (bad) throw new TypeError('cursor values are texts and finite numbers; give timestamps and bigints as text')
}
