/** Live instances by name, so that health, metrics and the ops page can read what nobody pushes to them. */

export interface Observable<Snapshot> {
  readonly name: string
  /** The state right now, as plain data. */
  snapshot(): Snapshot
}

export interface Registry<Snapshot> {
  /** Lists `instance` until the result is disposed. */
  add(instance: Observable<Snapshot>): Disposable
  /** Snapshots of all instances, in the order they were added. */
  snapshots(): readonly Snapshot[]
}

export function createRegistry<Snapshot>(): Registry<Snapshot> {
  const instances = new Set<Observable<Snapshot>>()
  return {
    add(instance) {
      instances.add(instance)
      return { [Symbol.dispose]: () => void instances.delete(instance) }
    },
    snapshots: () => [...instances].map((instance) => instance.snapshot()),
  }
}
