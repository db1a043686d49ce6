/** `Accept` (RFC 9110 §12.5.1): can any of the types that a route answers in be taken by this client? */

/** Distinct headers that are remembered per list of types. Clients send the same few; an attacker's are forgotten. */
const MAX_REMEMBERED = 64

interface Range {
  /** Media type without parameters, in lower case. */
  readonly type: string
  readonly quality: number
}

/** @returns a function that says whether a client with this `Accept` can take one of `produces`. */
export function createNegotiation(produces: readonly string[]): (accept: string | undefined) => boolean {
  const known = new Map<string, boolean>()
  const types = produces.map((type) => mediaType(type))

  return function accepts(accept) {
    if (accept === undefined || accept === '*/*' || accept === '') return true
    let answer = known.get(accept)
    if (answer === undefined) {
      const ranges = accept.split(',').map(toRange)
      answer = types.some((type) => qualityOf(type, ranges) > 0)
      if (known.size >= MAX_REMEMBERED) known.clear()
      known.set(accept, answer)
    }
    return answer
  }
}

/** The most specific range that matches decides, also when it says no. */
function qualityOf(type: string, ranges: readonly Range[]): number {
  const [family = ''] = type.split('/')
  for (const candidate of [type, `${family}/*`, '*/*']) {
    const matching = ranges.filter((range) => range.type === candidate)
    if (matching.length > 0) return Math.max(...matching.map(({ quality }) => quality))
  }
  return 0
}

function toRange(part: string): Range {
  const quality = /;\s*q\s*=\s*([\d.]+)/i.exec(part)?.[1]
  return { type: mediaType(part), quality: quality === undefined ? 1 : Number(quality) || 0 }
}

/** Parameters of a type, such as a charset, are no reason to turn a client away. */
function mediaType(value: string): string {
  return (value.split(';', 1)[0] ?? '').trim().toLowerCase()
}
