/**
 * Live keys in ascending or descending order, as of one moment, whatever is written, flushed or merged since.
 *
 * Forwards, the sources are merged version by version; of each key the first version that is visible decides. Backwards,
 * every source stands on the newest version of its last key below where the iterator is; the highest of these keys is
 * next, and of the sources that hold it the newest with a visible version decides.
 */
import { compareBytes } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import { MergeCursor } from './merge_cursor.ts';
import type { RangeTombstones } from './range_tombstones.ts';
import { RecordKind, type TwoWayCursor } from './record.ts';
import { behindKey } from './table_format.ts';
import { ValuePlace } from './value_place.ts';

export interface IteratorRange {
  /** First key; the first of all when left out. */
  readonly gte?: Uint8Array;
  /** As `gte`, itself not included. The higher of the two counts. */
  readonly gt?: Uint8Array;
  /** End, itself not included. */
  readonly lt?: Uint8Array;
  /** As `lt`, itself included. The lower of the two counts. */
  readonly lte?: Uint8Array;
  /** At most so many keys; all when left out. */
  readonly limit?: number;
  /** From the end of the range to its beginning. */
  readonly reverse?: boolean;
  /**
   * Each record of a table is also held against its own checksum, which it has kept since it was written first: for what is
   * given on to others under new ones. Costs a fifth more. Left out: the checksums of blocks are enough.
   */
  readonly verify?: boolean;
}

/** Keys `[low, end)`; null: no such border. */
export interface KeyBounds {
  readonly low: Uint8Array | null;
  readonly end: Uint8Array | null;
}

/** What an iterator reads. Sources from new to old. */
export interface IteratorSources {
  readonly cursors: readonly TwoWayCursor[];
  /** Of all sources. */
  readonly covers: readonly RangeTombstones[];
  /** Nothing above this sequence number is seen. */
  readonly visible: Index;
}

/**
 * - `before`: what comes next is where the cursors stand, or where they are put when they stand nowhere yet;
 * - `on`: on the key that was handed out last;
 * - `end`: there is no further key;
 * - `failed`: an error was met. It is thrown again whenever the iterator is asked to move: who went on after it would
 *   pass over keys without knowing.
 */
type State = 'before' | 'on' | 'end' | 'failed' | 'closed';

const EMPTY = new Uint8Array(0);
/** Up to this many bytes a loop copies faster than a call. */
const LOOP_BYTES_MAX = 24;

/** The borders that a range has, made half-open. */
export function boundsOf({ gt, gte, lt, lte }: IteratorRange): KeyBounds {
  const above = gt === undefined ? null : behindKey(gt);
  const upTo = lte === undefined ? null : behindKey(lte);
  return { low: higher(above, gte ?? null), end: lower(upTo, lt ?? null) };
}

export class StoreIterator {
  readonly #sources: IteratorSources;
  readonly #merged: MergeCursor;
  readonly #low: Uint8Array | null;
  readonly #end: Uint8Array | null;
  readonly #isReverse: boolean;
  readonly #onClose: () => void;
  #left: number;
  #state: State = 'before';
  /** False while not even the first record has been looked for. */
  #isPlaced = false;
  #failure: unknown = null;
  /** The key looked at last, a copy: cursors move on while its other versions are passed over. */
  #key = new Uint8Array(64);
  /** -1: none. */
  #keyLength = -1;
  /** Backwards the cursors have gone on already. */
  readonly #value = new ValuePlace();
  #sequence: Index = 0;

  /** @param sources Its cursors are new ones, which stand nowhere yet. */
  constructor(sources: IteratorSources, range: IteratorRange, onClose: () => void) {
    const { low, end } = boundsOf(range);
    this.#sources = sources;
    this.#merged = new MergeCursor(sources.cursors);
    this.#low = low;
    this.#end = end;
    this.#isReverse = range.reverse ?? false;
    this.#left = range.limit ?? Number.POSITIVE_INFINITY;
    this.#onClose = onClose;
  }

  /**
   * Moves to the next key, which is the one before when the range is reversed; false at the end, and once closed.
   * @throws CorruptionError, DiskError
   */
  next(): boolean {
    if (this.#state === 'closed' || this.#state === 'end') return false;
    if (this.#state === 'failed') throw this.#failure;
    try {
      const isThere = this.#left > 0 && (this.#isReverse ? this.#previousKey() : this.#nextKey());
      // Behind the end it stays: another `next` must not go on.
      this.#state = isThere ? 'on' : 'end';
      if (isThere) this.#left--;
      return isThere;
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** A view, valid until the iterator moves or control returns to the event loop. */
  key(): Uint8Array {
    return this.#key.subarray(0, Math.max(0, this.#keyLength));
  }

  /** As `key`. */
  value(): Uint8Array {
    if (!this.#isReverse) return this.#merged.value;
    return this.#value.view;
  }

  /** The bytes that `key` is the beginning of: as long as the iterator stands where it does. Not to be written to. */
  get keyBuffer(): Uint8Array {
    return this.#key;
  }

  get keyLength(): number {
    return Math.max(0, this.#keyLength);
  }

  /** As `value`, without a view. */
  placeValue(place: ValuePlace): void {
    if (!this.#isReverse) this.#merged.placeValue(place);
    else place.set(this.#value.bytes, this.#value.start, this.#value.end);
  }

  /** Of the log entry that wrote it. */
  sequence(): Index {
    return this.#isReverse ? this.#sequence : this.#merged.sequence;
  }

  /**
   * The next `next` goes to the first live key that is not below `key` (reversed: not above it), within the range. The
   * limit goes on counting.
   * @throws CorruptionError, DiskError
   */
  seek(key: Uint8Array): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'failed') throw this.#failure;
    try {
      if (this.#isReverse) this.#placeBelow(lower(behindKey(key), this.#end));
      else this.#merged.seek(higher(key, this.#low) ?? EMPTY);
    } catch (error) {
      throw this.#fail(error);
    }
    this.#isPlaced = true;
    this.#keyLength = -1;
    this.#state = 'before';
  }

  /** Idempotent. Lets go of the tables that it holds. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#onClose();
  }

  #nextKey(): boolean {
    const cursor = this.#merged;
    const { visible } = this.#sources;
    const end = this.#end;
    if (!this.#isPlaced) {
      this.#isPlaced = true;
      if (this.#low === null) cursor.seekToFirst();
      else cursor.seek(this.#low);
    } else if (this.#state === 'on') cursor.next();
    for (; cursor.isValid; cursor.next()) {
      const { key } = cursor;
      if (end !== null && compareBytes(key, end) >= 0) return false;
      if (cursor.sequence > visible || this.#isAt(key)) continue;
      this.#remember(key);
      if (cursor.kind === RecordKind.Put && !this.#isCovered(key, cursor.sequence)) return true;
    }
    return false;
  }

  #previousKey(): boolean {
    if (!this.#isPlaced) {
      this.#isPlaced = true;
      this.#placeBelow(this.#end);
    }
    const { cursors, visible } = this.#sources;
    for (;;) {
      const highest = this.#highest();
      if (highest === null || (this.#low !== null && compareBytes(highest, this.#low) < 0)) return false;
      this.#remember(highest);
      const key = this.key();
      let decided = false;
      let isLive = false;
      for (const cursor of cursors) {
        if (!cursor.isValid || compareBytes(cursor.key, key) !== 0) continue;
        while (!decided && cursor.isValid && compareBytes(cursor.key, key) === 0) {
          if (cursor.sequence <= visible) {
            decided = true;
            isLive = cursor.kind === RecordKind.Put && !this.#isCovered(key, cursor.sequence);
            cursor.placeValue(this.#value);
            this.#sequence = cursor.sequence;
          } else cursor.next();
        }
        cursor.seekBelow(key);
      }
      if (isLive) return true;
    }
  }

  #highest(): Uint8Array | null {
    let highest: Uint8Array | null = null;
    for (const cursor of this.#sources.cursors) {
      if (cursor.isValid && (highest === null || compareBytes(cursor.key, highest) > 0)) highest = cursor.key;
    }
    return highest;
  }

  #placeBelow(end: Uint8Array | null): void {
    for (const cursor of this.#sources.cursors) {
      if (end === null) cursor.seekToLast();
      else cursor.seekBelow(end);
    }
  }

  #isCovered(key: Uint8Array, sequence: Index): boolean {
    const { covers, visible } = this.#sources;
    for (const ranges of covers) if (ranges.coverAt(key, visible) > sequence) return true;
    return false;
  }

  #isAt(key: Uint8Array): boolean {
    const length = this.#keyLength;
    if (key.length !== length) return false;
    // From the end: neighbours differ there.
    for (let at = length - 1; at >= 0; at--) if (key[at] !== this.#key[at]) return false;
    return true;
  }

  #remember(key: Uint8Array): void {
    const { length } = key;
    if (length > this.#key.length) this.#key = new Uint8Array(2 * length);
    const own = this.#key;
    if (length > LOOP_BYTES_MAX) own.set(key);
    else for (let at = 0; at < length; at++) own[at] = key[at];
    this.#keyLength = length;
  }

  #fail(error: unknown): unknown {
    this.#state = 'failed';
    this.#failure = error;
    return error;
  }
}

function higher(a: Uint8Array | null, b: Uint8Array | null): Uint8Array | null {
  if (a === null || b === null) return a ?? b;
  return compareBytes(a, b) >= 0 ? a : b;
}

function lower(a: Uint8Array | null, b: Uint8Array | null): Uint8Array | null {
  if (a === null || b === null) return a ?? b;
  return compareBytes(a, b) <= 0 ? a : b;
}
