/** Live keys of the store in ascending order, as of the moment it was made, whatever is written, flushed or merged since. */
import { compareBytes } from '../codec/bytes.ts';
import { type Cursor, RecordKind } from './record.ts';

export interface IteratorRange {
  /** First key; the first of all when left out. */
  readonly gte?: Uint8Array;
  /** End, itself not included. */
  readonly lt?: Uint8Array;
}

/**
 * - `before`: what comes next is where the cursor stands;
 * - `on`: the cursor stands on the record that was handed out last;
 * - `failed`: an error was met. It is thrown again whenever the iterator is asked to move: who went on after it would
 *   pass over keys without knowing.
 */
type State = 'before' | 'on' | 'failed' | 'closed';

export class StoreIterator {
  readonly #cursor: Cursor;
  readonly #range: IteratorRange;
  readonly #onClose: () => void;
  #state: State = 'before';
  /** False while not even the first record has been looked for. */
  #isPlaced = false;
  #failure: unknown = null;

  /** @param cursor A new one, which stands nowhere yet. */
  constructor(cursor: Cursor, range: IteratorRange, onClose: () => void) {
    this.#cursor = cursor;
    this.#range = range;
    this.#onClose = onClose;
  }

  /**
   * Moves to the next key; false at the end, and once closed.
   * @throws CorruptionError, DiskError
   */
  next(): boolean {
    if (this.#state === 'closed') return false;
    if (this.#state === 'failed') throw this.#failure;
    try {
      return this.#next();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** A view, valid until the iterator moves or control returns to the event loop. */
  key(): Uint8Array {
    return this.#cursor.key;
  }

  /** As `key`. */
  value(): Uint8Array {
    return this.#cursor.value;
  }

  /**
   * The next `next` goes to the first live key that is not below `key` (nor below the range).
   * @throws CorruptionError, DiskError
   */
  seek(key: Uint8Array): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'failed') throw this.#failure;
    const { gte } = this.#range;
    try {
      this.#cursor.seek(gte !== undefined && compareBytes(key, gte) < 0 ? gte : key);
    } catch (error) {
      throw this.#fail(error);
    }
    this.#isPlaced = true;
    this.#state = 'before';
  }

  /** Idempotent. Lets go of the tables that it holds. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#onClose();
  }

  #next(): boolean {
    const cursor = this.#cursor;
    const { gte, lt } = this.#range;
    if (this.#state === 'on') cursor.next();
    else if (!this.#isPlaced) {
      this.#isPlaced = true;
      if (gte === undefined) cursor.seekToFirst();
      else cursor.seek(gte);
    }
    while (cursor.isValid && cursor.kind === RecordKind.Tombstone) cursor.next();
    const isInRange = cursor.isValid && (lt === undefined || compareBytes(cursor.key, lt) < 0);
    // Behind the end it stays: another `next` must not go on.
    this.#state = isInRange ? 'on' : 'before';
    return isInRange;
  }

  #fail(error: unknown): unknown {
    this.#state = 'failed';
    this.#failure = error;
    return error;
  }
}
