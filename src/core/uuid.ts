/** UUID version 7: a millisecond of wall-clock time, then chance; so ids sort by creation. RFC 9562 §5.7. */
import { randomFillSync } from 'node:crypto'
import { systemClock, type Clock } from './clock.ts'

const POOL_BYTES = 4_096
const RANDOM_BYTES = 10

/** Random bytes are drawn in bulk: one call to the generator per id costs more than all the rest. */
const pool = new Uint8Array(POOL_BYTES)
let used = POOL_BYTES

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function uuidv7(clock: Pick<Clock, 'wallNow'> = systemClock): string {
  if (used + RANDOM_BYTES > POOL_BYTES) {
    randomFillSync(pool)
    used = 0
  }
  const at = used
  used += RANDOM_BYTES
  const time = Math.trunc(clock.wallNow()).toString(16).padStart(12, '0')
  const byte = (i: number): string => HEX[pool[at + i]!]!
  const version = HEX[0x70 | (pool[at]! & 0x0f)]!
  const variant = HEX[0x80 | (pool[at + 2]! & 0x3f)]!
  const tail = byte(4) + byte(5) + byte(6) + byte(7) + byte(8) + byte(9)
  return `${time.slice(0, 8)}-${time.slice(8)}-${version}${byte(1)}-${variant}${byte(3)}-${tail}`
}
