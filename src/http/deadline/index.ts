/** `keelson/http/deadline`: one deadline per request, ended early when the client leaves. */
export { deadline, DEADLINE_DEFAULTS, type DeadlineOptions } from './deadline.ts'
