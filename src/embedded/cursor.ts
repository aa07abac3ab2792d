/**
 * A place among the keys of a bucket, moved by hand, as of one moment: what is written, flushed or merged meanwhile does not
 * show. It hands out keys and values decoded, or as views without a copy.
 *
 * It holds files, and what it sees is kept by compaction, until it is closed: `using` is right for it.
 */
import { EnvelopeError } from '../base/errors.ts';
import { decodeStoredAt, NEVER, type StoredValue } from '../kv/stored_value.ts';
import type { StoreIterator } from '../lsm/store_iterator.ts';
import { ValuePlace } from '../lsm/value_place.ts';
import { decodeRange, type Encoding } from './encoding.ts';
import type { Engine } from './engine.ts';

/** What a cursor needs of its bucket. */
export interface CursorPlace<K, V> {
  readonly engine: Engine;
  readonly keys: Encoding<K>;
  readonly values: Encoding<V>;
  /** What the bucket's keys begin with in the store. */
  readonly prefix: Uint8Array;
  /** What has expired by then is not there; in milliseconds since the epoch. */
  readonly timeMs: number;
}

export class Cursor<K, V> {
  readonly #place: CursorPlace<K, V>;
  readonly #iterator: StoreIterator;
  readonly #signal: AbortSignal | null;
  #left: number;
  #stored: StoredValue | null = null;
  readonly #valuePlace = new ValuePlace();
  #isClosed = false;

  /**
   * For `Bucket`.
   * @param limit Keys that it goes to at most.
   */
  constructor(
    place: CursorPlace<K, V>,
    iterator: StoreIterator,
    limit: number,
    signal: AbortSignal | undefined,
  ) {
    this.#place = place;
    this.#iterator = iterator;
    this.#left = limit;
    this.#signal = signal ?? null;
  }

  /**
   * To the next key, which is the one before when the range is reversed; false at the end, from where `seek` can still lead
   * back, and once closed.
   * @throws CorruptionError, DiskError; EnvelopeError `CLOSED` when the store was closed; the reason of the signal. There is
   * no going on after an error.
   */
  next(): boolean {
    this.#stored = null;
    if (this.#isClosed) return false;
    this.#signal?.throwIfAborted();
    this.#place.engine.assertOpen();
    if (this.#left <= 0) return false;
    const { timeMs } = this.#place;
    const value = this.#valuePlace;
    while (this.#iterator.next()) {
      this.#iterator.placeValue(value);
      const stored = decodeStoredAt(value.bytes, value.start, value.end);
      if (stored.expiresAtMs !== NEVER && stored.expiresAtMs <= timeMs) continue;
      this.#stored = stored;
      this.#left--;
      return true;
    }
    return false;
  }

  /** Where it stands. @throws EnvelopeError `INVALID` when the last `next` was not true. */
  get key(): K {
    this.#standing();
    const { keys, prefix } = this.#place;
    return decodeRange(keys, this.#iterator.keyBuffer, prefix.length, this.#iterator.keyLength);
  }

  /** As `key`. */
  get value(): V {
    const { bytes, start, end } = this.#standing();
    return decodeRange(this.#place.values, bytes, start, end);
  }

  /** The key's bytes, valid until the cursor is moved or control returns to the event loop; not to be written to. */
  get keyView(): Uint8Array {
    this.#standing();
    return this.#iterator.key().subarray(this.#place.prefix.length);
  }

  /** As `keyView`. */
  get valueView(): Uint8Array {
    return this.#standing().value;
  }

  /**
   * The next `next` goes to the first key that is not below this one (reversed: not above it), within the range. The limit
   * goes on counting. Does nothing once closed.
   * @throws CorruptionError, DiskError
   */
  seek(key: K): void {
    this.#stored = null;
    if (this.#isClosed) return;
    const { prefix, keys } = this.#place;
    const bytes = keys.encode(key);
    const name = new Uint8Array(prefix.length + bytes.length);
    name.set(prefix);
    name.set(bytes, prefix.length);
    this.#iterator.seek(name);
  }

  /** Idempotent. Lets go of the files. */
  close(): void {
    this.#stored = null;
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#iterator.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #standing(): StoredValue {
    if (this.#stored === null)
      throw new EnvelopeError('INVALID', 'a cursor is read while it stands on a key');
    return this.#stored;
  }
}
