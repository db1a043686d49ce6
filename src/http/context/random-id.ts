/** Random ids as hex digits, cut from a pool, because a call to the generator costs far more than its bytes. */
import { randomFillSync } from 'node:crypto'

const pool = Buffer.alloc(4_096)
let used = pool.length

/** @returns `bytes` random bytes as lower-case hex; never all zero, which trace context forbids. */
export function randomHex(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const hex = pool.toString('hex', used, (used += bytes))
  return /[^0]/.test(hex) ? hex : randomHex(bytes)
}
