/** A queue with many writers and one reader: whatever happens becomes a command, and one loop decides in order. */
export class Mailbox<Command> implements AsyncIterable<Command> {
  readonly #waiting: Command[] = []
  #arrival = Promise.withResolvers<void>()

  post(command: Command): void {
    this.#waiting.push(command)
    this.#arrival.resolve()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Command> {
    for (;;) {
      await this.#arrival.promise
      this.#arrival = Promise.withResolvers()
      // A loop, not a `for` over the queue: commands posted while one is handled come after it.
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) yield next
    }
  }
}
