/** Checks of options that only policies have. */
import type { Check } from '../core/options.ts'

export const aFunction: Check = (v) => (typeof v === 'function' ? undefined : 'must be a function')

/** For what is checked further by whoever takes it. */
export const anObject: Check = (v) => (typeof v === 'object' && v !== null && !Array.isArray(v) ? undefined : 'must be an object')
