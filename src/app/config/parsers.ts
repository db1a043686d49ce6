/** From the text of an environment variable to a value. A parser throws a plain sentence, `must be …`, without the text. */
import { createPublicKey } from 'node:crypto'
import { isIP } from 'node:net'

export class Unparsable extends Error {}

export type Parser<T> = (text: string) => T

function refuse(rule: string): never {
  throw new Unparsable(rule)
}

export const text: Parser<string> = (value) => value

export const textOfAtLeastBytes =
  (min: number): Parser<string> =>
  (value) =>
    Buffer.byteLength(value) >= min ? value : refuse(`must be at least ${min} bytes long`)

/** Decimal digits only: `0x10`, `1e3`, ` 5` and `5.0` are more often mistakes than meant. */
export const integer =
  (min: number, max: number = Number.MAX_SAFE_INTEGER): Parser<number> =>
  (value) => {
    const rule = max === Number.MAX_SAFE_INTEGER ? `must be an integer >= ${min}` : `must be an integer from ${min} to ${max}`
    const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN
    return number >= min && number <= max ? number : refuse(rule)
  }

export const choice =
  <const T extends string>(...allowed: readonly T[]): Parser<T> =>
  (value) =>
    allowed.find((one) => one === value) ?? refuse(`must be one of ${allowed.join(', ')}`)

/** A host name or an IP address, as `listen` takes it. */
export const host: Parser<string> = (value) =>
  /^[A-Za-z0-9._:-]{1,253}$/.test(value) ? value : refuse('must be a host name or an IP address')

/** A name or an address as it stands in a `Host` header, with a port or without; IPv6 in brackets. */
export const hostHeader: Parser<string> = (value) =>
  /^(?:\[[\da-f:.]{2,45}\]|[a-z\d_][a-z\d._-]{0,252})(?::\d{1,5})?$/i.test(value)
    ? value
    : refuse('must hold hosts as in the `Host` header, such as api.example.com or [::1]:3000')

export const url =
  (...protocols: readonly string[]): Parser<string> =>
  (value) => {
    const rule = `must be a URL that begins with ${protocols.map((p) => `${p}//`).join(' or ')}`
    if (!protocols.some((protocol) => value.startsWith(`${protocol}//`))) refuse(rule)
    if (!isDecodable(value)) refuse('must not hold a bare %: write it as %25')
    // `postgres://user@/db?host=/folder` is fine for Postgres but has no host, which URL refuses.
    const complete = URL.canParse(value) || /^postgres(ql)?:\/\/[^/]*\/[^/]+\?/.test(value)
    return complete ? value : refuse('must be a valid URL: percent-encode what is special in user and password')
  }

/** A private key in its place would work as well, and be shown and copied as if it were public. */
export const publicKeyPem: Parser<string> = (value) => {
  if (/PRIVATE KEY/.test(value)) refuse('must be a public key, not a private one')
  try {
    createPublicKey(value)
    return value
  } catch {
    return refuse('must be a public key in PEM (-----BEGIN PUBLIC KEY-----)')
  }
}

/** Comma-separated; spaces around items are dropped, empty items refused. */
export const list =
  (item: Parser<string>): Parser<readonly string[]> =>
  (value) =>
    value
      .split(',')
      .map((part) => (part.trim() === '' ? refuse('must be a comma-separated list without empty items') : item(part.trim())))

/** Scheme, host and port and nothing else, as a browser sends it. */
export const origin: Parser<string> = (value) => {
  const rule = 'must hold origins such as https://app.example.com (scheme, host and port only; no *, no path)'
  if (!URL.canParse(value)) refuse(rule)
  const parsed = new URL(value)
  return /^https?:$/.test(parsed.protocol) && parsed.origin === value ? value : refuse(rule)
}

/** `auto`, or a number of processes. */
export const workers: Parser<number | 'auto'> = (value) => {
  if (value === 'auto') return value
  return /^\d{1,4}$/.test(value) && Number(value) >= 1 ? Number(value) : refuse('must be `auto` or an integer >= 1')
}

/** A number of proxies in front, or their addresses; never "all", which would let any caller name its own address. */
export const trustedProxies: Parser<number | readonly string[]> = (value) => {
  if (/^\d{1,2}$/.test(value)) return Number(value)
  const rule = 'must be a number of proxies, or a list of addresses and CIDR ranges'
  return list((item) => (isAddressRange(item) ? item : refuse(rule)))(value)
}

function isAddressRange(item: string): boolean {
  const [address = '', bits, ...rest] = item.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= (family === 4 ? 32 : 128))
}

/** Drivers decode the parts of a URL, each in its own way of failing. */
function isDecodable(value: string): boolean {
  try {
    decodeURIComponent(value)
    return true
  } catch {
    return false
  }
}
