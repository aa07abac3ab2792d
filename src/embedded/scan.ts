/**
 * A walk over keys of a bucket, in the order of their bytes, as of one moment: `for ... of` takes it in one go, `for await`
 * lets the rest of the process have its turn every now and then. What is written, flushed or merged meanwhile does not
 * show.
 *
 * A scan holds files. It lets go of them at its end, when a loop is left, and when it is closed; one that is neither begun
 * nor closed keeps them, so `using` is right for a scan that is moved by hand.
 */
import type { Cursor } from './cursor.ts';
import { Turns } from './turns.ts';

export class Scan<K, T> implements Iterator<T, undefined>, Iterable<T>, AsyncIterable<T> {
  readonly #cursor: Pick<Cursor<K, unknown>, 'next' | 'seek' | 'close'>;
  readonly #item: () => T;
  #closed = false;

  /**
   * For `Bucket`.
   * @param item What it hands out where the cursor stands.
   */
  constructor(cursor: Pick<Cursor<K, unknown>, 'next' | 'seek' | 'close'>, item: () => T) {
    this.#cursor = cursor;
    this.#item = item;
  }

  /**
   * The next item.
   * @throws CorruptionError, DiskError; EnvelopeError `CLOSED`; the reason of the signal. The scan is closed then.
   */
  next(): IteratorResult<T, undefined> {
    if (this.#closed) return { done: true, value: undefined };
    try {
      if (this.#cursor.next()) return { done: false, value: this.#item() };
    } catch (error) {
      this.close();
      throw error;
    }
    this.close();
    return { done: true, value: undefined };
  }

  /**
   * What comes next is the first key that is not below this one (reversed: not above it), within the range. The limit
   * goes on counting. Does nothing once the scan has ended: a `Cursor` goes on from there.
   */
  seek(key: K): void {
    if (!this.#closed) this.#cursor.seek(key);
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    this.#cursor.close();
  }

  /** For loops that are left. */
  return(): IteratorResult<T, undefined> {
    this.close();
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    const turns = new Turns();
    try {
      for (;;) {
        const { done, value } = this.next();
        if (done === true) return;
        yield value;
        if (turns.isOver()) await turns.next();
      }
    } finally {
      this.close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
