/** Turns "there is none" into a 404. */
import { KeelsonError } from '../../core/errors.ts'

/**
 * `return found(await findUser(id))`: the value, which is then known not to be null.
 * @param what named in the answer, e.g. `no such user`; never put the caller's input into it.
 * @throws KeelsonError `KEELSON_NOT_FOUND` (404) on `null` and `undefined`.
 */
export function found<T>(value: T, what = 'there is no such thing'): NonNullable<T> {
  if (value === null || value === undefined) throw new KeelsonError('KEELSON_NOT_FOUND', 'not_found', what)
  return value
}
