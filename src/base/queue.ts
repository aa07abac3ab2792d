/**
 * First in, first out, over a ring: the array's length is a power of two and doubles when it is full. Places that were
 * taken from are emptied, so that nothing is kept alive; setting an array's length, as a simpler queue would, was a
 * tenth of the cost of a delivery.
 */
const RING_MIN = 8;

export class Queue<T> {
  #ring: (T | null)[] = new Array<T | null>(RING_MIN).fill(null);
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The next to be taken, or null. */
  get first(): T | null {
    return this.#size === 0 ? null : this.#ring[this.#head];
  }

  /** @param position From 0, the next to be taken. */
  at(position: number): T | null {
    return position < this.#size ? this.#ring[(this.#head + position) & (this.#ring.length - 1)] : null;
  }

  push(item: T): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#size) & (this.#ring.length - 1)] = item;
    this.#size++;
  }

  /** Takes the oldest; null when there is none. */
  shift(): T | null {
    if (this.#size === 0) return null;
    const item = this.#ring[this.#head];
    this.#ring[this.#head] = null;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#size--;
    return item;
  }

  /** Keeps the oldest `size` items; 0 <= size <= this.size. */
  truncate(size: number): void {
    while (this.#size > size) {
      this.#size--;
      this.#ring[(this.#head + this.#size) & (this.#ring.length - 1)] = null;
    }
  }

  clear(): void {
    this.truncate(0);
  }

  #grow(): void {
    const ring = new Array<T | null>(2 * this.#ring.length).fill(null);
    for (let i = 0; i < this.#size; i++) ring[i] = this.#ring[(this.#head + i) & (this.#ring.length - 1)];
    this.#ring = ring;
    this.#head = 0;
  }
}
