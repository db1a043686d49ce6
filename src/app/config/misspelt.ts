/** Finds variables that look like a known one written wrong: a silent default is worse than a refusal. */

/** Ours, and free to appear without being settings. */
const INTERNAL = /^KEELSON_(TEST|WORKER|MODE|INTERNAL)/

/**
 * @returns for each suspicious name in `given`, the known name that was probably meant;
 * or `undefined` for an unknown name with our own prefix that resembles none.
 */
export function findMisspelt(given: readonly string[], known: readonly string[]): ReadonlyMap<string, string | undefined> {
  const found = new Map<string, string | undefined>()
  const withFiles = known.flatMap((name) => [name, `${name}_FILE`])
  for (const name of given) {
    if (withFiles.includes(name) || INTERNAL.test(name)) continue
    const meant = withFiles.find((candidate) => resembles(name, candidate))
    if (meant !== undefined || (name.startsWith('KEELSON_') && !SERVICE_LINK.test(name))) found.set(name, meant)
  }
  return found
}

/** What Kubernetes sets for a Service whose name happens to begin like ours. */
const SERVICE_LINK = /_(SERVICE_HOST|(SERVICE_)?PORT(_\w+)?)$/

/** Short names have many innocent neighbours (`PORT`, `SORT`), so the tolerance grows with the length. */
function resembles(name: string, known: string): boolean {
  if (name.toUpperCase() === known) return true
  const tolerance = known.length >= 9 ? 2 : known.length >= 7 ? 1 : 0
  return tolerance > 0 && editDistance(name, known, tolerance) <= tolerance
}

/** Levenshtein distance with transpositions (optimal string alignment), cut off above `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, beforeLast[j - 2]! + 1)
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}
