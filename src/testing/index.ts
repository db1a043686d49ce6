/** `keelson/testing`: what a service's own tests need. */
export { ManualClock } from './manual-clock.ts'
