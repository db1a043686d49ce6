/** The command line was called wrong; the message is for a person, and the exit code is 64. */
export class UsageError extends Error {}
