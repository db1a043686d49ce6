/** A first-in, first-out queue as a linked list: an entry leaves from the middle at no cost. */

export interface FifoNode<V> {
  readonly key: string
  readonly value: V
  readonly bytes: number
  /** Hits since it was queued, up to a small limit. */
  uses: number
  queue: Fifo<V> | undefined
  previous: FifoNode<V> | undefined
  next: FifoNode<V> | undefined
}

export class Fifo<V> {
  #oldest: FifoNode<V> | undefined
  #newest: FifoNode<V> | undefined
  #length = 0
  #bytes = 0

  get length(): number {
    return this.#length
  }

  get bytes(): number {
    return this.#bytes
  }

  get oldest(): FifoNode<V> | undefined {
    return this.#oldest
  }

  push(node: FifoNode<V>): void {
    node.queue = this
    node.previous = this.#newest
    node.next = undefined
    if (this.#newest) this.#newest.next = node
    else this.#oldest = node
    this.#newest = node
    this.#length++
    this.#bytes += node.bytes
  }

  remove(node: FifoNode<V>): void {
    if (node.previous) node.previous.next = node.next
    else this.#oldest = node.next
    if (node.next) node.next.previous = node.previous
    else this.#newest = node.previous
    node.queue = node.previous = node.next = undefined
    this.#length--
    this.#bytes -= node.bytes
  }
}
