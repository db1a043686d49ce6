/** `keelson/http/errors`: every failure as one kind of document (RFC 9457), with an id that is also in the log. */
export { API_HEADERS, HSTS } from './api-headers.ts'
export { clientErrorHandler, frameworkErrors, refuseRaw, refuseResponse } from './outside.ts'
export { errors, ERRORS_DEFAULTS, type ErrorsOptions, type RequestFailure } from './errors.ts'
export { HTTP_CHANNEL, type HttpEvent, type RequestRefused } from './events.ts'
export { found } from './found.ts'
export { createProblem, PROBLEM_MEDIA_TYPE, PROBLEM_SCHEMA, PROBLEM_TYPE_BASE, type Problem } from './problem.ts'
export { verdictOf, withStatus, type StatusByCode, type Verdict } from './status.ts'
