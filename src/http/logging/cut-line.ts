/** Makes an over-long log line short enough for one atomic write, and leaves it valid JSON that says so. */

/** Tried in turn: each cuts all strings longer than itself, so the longest lose most and the ids nothing. */
const STRING_LIMITS = [1_024, 512, 256, 128, 64] as const

/** Beyond this, a line is not parsed: the time it takes would be the next incident. */
const MAX_PARSED_CHARS = 262_144

/** @returns a line of at most `maxBytes`, newline included, marked `"truncated":true`. */
export function cutLine(line: string, maxBytes: number): string {
  const entry = line.length > MAX_PARSED_CHARS ? undefined : parsed(line)
  if (entry) {
    for (const limit of STRING_LIMITS) {
      const cut = render(JSON.stringify(entry, (_key, value: unknown) => cutString(value, limit)))
      if (Buffer.byteLength(cut) <= maxBytes) return cut
    }
    const flat = Object.entries(entry)
      .filter(([, value]) => typeof value !== 'object')
      .slice(0, 12)
    const cut = render(JSON.stringify(Object.fromEntries(flat), (_key, value: unknown) => cutString(value, 64)))
    if (Buffer.byteLength(cut) <= maxBytes) return cut
  }
  // A character takes at most six bytes, as an escape.
  return render(JSON.stringify({ level: 'warn', msg: 'log line too long', head: line.slice(0, maxBytes >> 4) }))
}

function parsed(line: string): Record<string, unknown> | undefined {
  try {
    const entry: unknown = JSON.parse(line)
    return typeof entry === 'object' && entry !== null ? (entry as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function cutString(value: unknown, limit: number): unknown {
  return typeof value === 'string' && value.length > limit ? `${value.slice(0, limit)}…` : value
}

function render(json: string): string {
  return `${json.slice(0, -1)}${json.length > 2 ? ',' : ''}"truncated":true}\n`
}
