/** The `tracestate` header of W3C Trace Context, section 3.3: a list of at most 32 `key=value` pairs of other vendors. */

const MAX_MEMBERS = 32
const SIMPLE_KEY = /^[a-z0-9][a-z0-9_\-*/]{0,255}$/
const TENANT_KEY = /^[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13}$/
/** Printable ASCII but comma and equals sign, not ending with a blank. */
const VALUE = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/

/** @returns the list without optional blanks and empty members; nothing if any member is malformed or repeated. */
export function validTracestate(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  const members = header
    .split(',')
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((member) => member !== '')
  const keys = new Set(members.map(keyOf))
  if (members.length === 0 || members.length > MAX_MEMBERS) return undefined
  return keys.has(undefined) || keys.size < members.length ? undefined : members.join(',')
}

function keyOf(member: string): string | undefined {
  const at = member.indexOf('=')
  const key = member.slice(0, at)
  const valid = at > 0 && (SIMPLE_KEY.test(key) || TENANT_KEY.test(key)) && VALUE.test(member.slice(at + 1))
  return valid ? key : undefined
}
