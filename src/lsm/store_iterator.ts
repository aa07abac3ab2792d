/** Live keys of the store in ascending order, as of the moment it was made, whatever is written, flushed or merged since. */
import { compareBytes } from '../codec/bytes.ts';
import { type Cursor, RecordKind } from './record.ts';

export interface IteratorRange {
  /** First key; the first of all when left out. */
  readonly gte?: Uint8Array;
  /** End, itself not included. */
  readonly lt?: Uint8Array;
}

export class StoreIterator {
  readonly #cursor: Cursor;
  readonly #range: IteratorRange;
  readonly #onClose: () => void;
  #state: 'before' | 'on' | 'closed' = 'before';

  constructor(cursor: Cursor, range: IteratorRange, onClose: () => void) {
    this.#cursor = cursor;
    this.#range = range;
    this.#onClose = onClose;
    if (range.gte !== undefined) cursor.seek(range.gte);
  }

  /**
   * Moves to the next key; false at the end.
   * @throws CorruptionError, DiskError
   */
  next(): boolean {
    if (this.#state === 'closed') return false;
    const cursor = this.#cursor;
    if (this.#state === 'on') cursor.next();
    this.#state = 'on';
    while (cursor.isValid && cursor.kind === RecordKind.Tombstone) cursor.next();
    const isInRange =
      cursor.isValid && (this.#range.lt === undefined || compareBytes(cursor.key, this.#range.lt) < 0);
    // Behind the end it stays: another `next` must not go on.
    if (!isInRange) this.#state = 'before';
    return isInRange;
  }

  /** A view, valid until the iterator moves or control returns to the event loop. */
  key(): Uint8Array {
    return this.#cursor.key;
  }

  /** As `key`. */
  value(): Uint8Array {
    return this.#cursor.value;
  }

  /** The next `next` goes to the first live key that is not below `key` (nor below the range). */
  seek(key: Uint8Array): void {
    const { gte } = this.#range;
    this.#cursor.seek(gte !== undefined && compareBytes(key, gte) < 0 ? gte : key);
    this.#state = 'before';
  }

  /** Idempotent. Lets go of the tables that it holds. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#onClose();
  }
}
