/**
 * Randomness that can be repeated: mulberry32, a 32-bit generator of one addition and two multiplications by
 * Tommy Ettinger (public domain). For tests and simulations; never for secrets.
 * Source: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c
 */

/** Returns a function that draws uniformly from [0, 1); the same `seed` gives the same draws. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0
  return function mulberry32() {
    state = (state + 0x6d2b79f5) | 0
    let z = Math.imul(state ^ (state >>> 15), state | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32
  }
}
