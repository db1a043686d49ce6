/** What an app has opened, let go of in reverse order: `AsyncDisposableStack`, which Node 22 lacks, in small. */
type Belonging = Disposable | AsyncDisposable

export class Belongings implements AsyncDisposable {
  readonly #all: Belonging[] = []

  /** @returns `one`, which is disposed with all the others, before those that were added earlier. */
  add<T extends Belonging>(one: T): T {
    this.#all.push(one)
    return one
  }

  /** One that fails does not keep the rest open. @throws its error, or an AggregateError if several failed. */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = []
    for (let one = this.#all.pop(); one; one = this.#all.pop()) {
      try {
        await letGo(one)
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 1) throw new AggregateError(failures, 'several things could not be closed')
    if (failures.length > 0) throw failures[0]
  }
}

async function letGo(one: Belonging): Promise<void> {
  if (Symbol.asyncDispose in one) await one[Symbol.asyncDispose]()
  else one[Symbol.dispose]()
}
