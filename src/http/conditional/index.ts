/** `keelson/http/conditional`: ETags from row versions, 304, 412 and 428. */
export { conditional } from './conditional.ts'
export { etagOf } from './entity-tag.ts'
export { preconditionFailed, type ExpectedVersion } from './expected-version.ts'
