/** The log destinations of the process: written to by logging, and read by metrics, which know nothing of each other. */
import { createRegistry, type Registry } from './registry.ts'

export interface DestinationSnapshot {
  readonly name: string
  readonly bufferedBytes: number
  /** Lines that were not dropped, those still in the buffer included. */
  readonly acceptedLines: number
  readonly droppedLines: number
  /** The system's code of the last write's failure, e.g. `ENOSPC`; `EAGAIN` while the reader is behind. */
  readonly failure: string | undefined
}

export const destinations: Registry<DestinationSnapshot> = createRegistry<DestinationSnapshot>()
