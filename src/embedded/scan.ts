/**
 * A walk over keys of a bucket, in the order of their bytes, as of one moment: `for ... of` takes it in one go, `for await`
 * lets the rest of the process have its turn every now and then. What is written, flushed or merged meanwhile does not
 * show.
 *
 * A scan holds files. It lets go of them at its end, when a loop is left, and when it is closed; one that is neither begun
 * nor closed keeps them, so `using` is right for a scan that is moved by hand.
 */
import { setImmediate } from 'node:timers/promises';
import type { StoreIterator } from '../lsm/store_iterator.ts';

/** An asynchronous loop gives way after this long; the clock is read every so many items. */
const TURN_MS = 2;
const ITEMS_A_LOOK = 32;

/** What a scan needs of its bucket. */
export interface ScanSource<K, T> {
  /** Moves to the next key that is there; false at the end. */
  readonly advance: (iterator: StoreIterator) => boolean;
  readonly item: (iterator: StoreIterator) => T;
  readonly seek: (iterator: StoreIterator, key: K) => void;
}

export class Scan<K, T> implements Iterator<T, undefined>, Iterable<T>, AsyncIterable<T> {
  readonly #source: ScanSource<K, T>;
  readonly #iterator: StoreIterator;
  readonly #signal: AbortSignal | null;
  #left: number;
  #closed = false;

  /**
   * For `Bucket`.
   * @param limit Items that it gives at most.
   */
  constructor(
    source: ScanSource<K, T>,
    iterator: StoreIterator,
    limit: number,
    signal: AbortSignal | undefined,
  ) {
    this.#source = source;
    this.#iterator = iterator;
    this.#left = limit;
    this.#signal = signal ?? null;
  }

  /**
   * The next item.
   * @throws CorruptionError, DiskError; EnvelopeError `CLOSED`; the reason of the signal. The scan is closed then.
   */
  next(): IteratorResult<T, undefined> {
    if (this.#closed) return { done: true, value: undefined };
    try {
      this.#signal?.throwIfAborted();
      if (this.#left > 0 && this.#source.advance(this.#iterator)) {
        this.#left--;
        return { done: false, value: this.#source.item(this.#iterator) };
      }
    } catch (error) {
      this.close();
      throw error;
    }
    this.close();
    return { done: true, value: undefined };
  }

  /**
   * What comes next is the first key that is not below this one (reversed: not above it), within the range. The limit
   * goes on counting. Does nothing once the scan has ended.
   */
  seek(key: K): void {
    if (!this.#closed) this.#source.seek(this.#iterator, key);
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#iterator.close();
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
    try {
      let beganMs = performance.now();
      for (let count = 1; ; count++) {
        const { done, value } = this.next();
        if (done === true) return;
        yield value;
        if (count % ITEMS_A_LOOK === 0 && performance.now() - beganMs >= TURN_MS) {
          await setImmediate();
          beganMs = performance.now();
        }
      }
    } finally {
      this.close();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
