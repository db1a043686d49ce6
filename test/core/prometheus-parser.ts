/** An independent reader of the Prometheus text format 0.0.4, for tests: strict, and written from the format's page alone. */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface ParsedFamily {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly samples: Sample[]
}

export function parsePrometheus(text: string): Map<string, ParsedFamily> {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line must end with a line feed')
  const families = new Map<string, ParsedFamily>()
  const lines = text.split('\n').slice(0, -1)
  let current: ParsedFamily | undefined
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] as string
    const help = /^# HELP ([a-zA-Z_:][\w:]*) (.*)$/.exec(line)
    if (!help) {
      if (!current) throw new Error(`a sample before any HELP: ${line}`)
      current.samples.push(parseSample(line, current))
      continue
    }
    const [, name = '', escapedHelp = ''] = help
    const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(lines[++i] ?? '')
    if (type?.[1] !== name) throw new Error(`HELP of ${name} is not followed by its TYPE`)
    if (families.has(name)) throw new Error(`${name} appears twice`)
    current = { name, help: unescape(escapedHelp, /\\[\\n]/g), type: type[2] as string, samples: [] }
    families.set(name, current)
  }
  for (const family of families.values()) checkFamily(family)
  return families
}

function parseSample(line: string, family: ParsedFamily): Sample {
  const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line)
  if (!match) throw new Error(`not a sample: ${line}`)
  const [, name = '', list = '', value = ''] = match
  const suffixes = family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
  if (!suffixes.some((suffix) => name === family.name + suffix)) throw new Error(`${name} does not belong to ${family.name}`)
  return { name, labels: parseLabels(list), value: parseNumber(value) }
}

function parseLabels(list: string): Record<string, string> {
  const labels: Record<string, string> = {}
  let rest = list
  while (rest !== '') {
    const match = /^([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/.exec(rest)
    if (!match) throw new Error(`bad labels: ${list}`)
    const [whole, name = '', value = ''] = match
    if (name in labels) throw new Error(`label ${name} twice`)
    labels[name] = unescape(value, /\\[\\"n]/g)
    rest = rest.slice(whole.length)
  }
  return labels
}

function unescape(text: string, pattern: RegExp): string {
  return text.replace(pattern, (pair) => (pair[1] === 'n' ? '\n' : (pair[1] as string)))
}

function parseNumber(text: string): number {
  if (text === '+Inf') return Infinity
  if (text === '-Inf') return -Infinity
  if (text === 'NaN') return NaN
  if (!/^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text)) throw new Error(`not a number: ${text}`)
  return Number(text)
}

/** No series twice; buckets cumulative, ending in +Inf, which equals the count. */
function checkFamily({ name, type, samples }: ParsedFamily): void {
  const keys = samples.map(
    (s) =>
      s.name +
      JSON.stringify(
        Object.entries(s.labels)
          .map(String)
          .toSorted((a, b) => (a < b ? -1 : 1)),
      ),
  )
  if (new Set(keys).size !== keys.length) throw new Error(`${name} has a series twice`)
  if (type !== 'histogram') return
  for (const count of samples.filter((s) => s.name.endsWith('_count'))) {
    const own = JSON.stringify(count.labels)
    const buckets = samples.filter((s) => s.name.endsWith('_bucket') && JSON.stringify({ ...s.labels, le: undefined }) === own)
    const bounds = buckets.map((s) => parseNumber(s.labels['le'] ?? ''))
    if (bounds.at(-1) !== Infinity || buckets.at(-1)?.value !== count.value) throw new Error(`${name}: +Inf is not the count`)
    if (bounds.some((b, i) => i > 0 && b <= (bounds[i - 1] as number))) throw new Error(`${name}: bounds do not ascend`)
    if (buckets.some((b, i) => i > 0 && b.value < (buckets[i - 1]?.value ?? 0)))
      throw new Error(`${name}: buckets are not cumulative`)
  }
}
