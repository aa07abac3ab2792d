/**
 * Merges cursors, newest source first, into one that shows every version of every key: keys ascending, versions from new
 * to old. What a source holds of a key is newer than what the sources behind it hold.
 *
 * Records often come from the same source many times in a row, so the source that would be next is remembered: while
 * the current one stays before it, one comparison a record is enough.
 */
import { compareBytes } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import type { Cursor, RecordKind, TwoWayCursor } from './record.ts';
import type { ValuePlace } from './value_place.ts';

const NONE = -1;

export class MergeCursor implements Cursor {
  readonly #sources: readonly TwoWayCursor[];
  /** Places in `#sources` of the first record and of the one behind it in another source, and the key of that. */
  #current = NONE;
  #second = NONE;
  #secondKey: Uint8Array | null = null;

  /** @param sources From new to old: of equal keys the first source's come first. */
  constructor(sources: readonly TwoWayCursor[]) {
    this.#sources = sources;
  }

  get isValid(): boolean {
    return this.#current !== NONE;
  }

  get key(): Uint8Array {
    return this.#source().key;
  }

  get sequence(): Index {
    return this.#source().sequence;
  }

  get kind(): RecordKind {
    return this.#source().kind;
  }

  get value(): Uint8Array {
    return this.#source().value;
  }

  /** As `value`, without a view. */
  placeValue(place: ValuePlace): void {
    this.#source().placeValue(place);
  }

  next(): void {
    const current = this.#source();
    current.next();
    if (!current.isValid) this.#pick();
    else if (this.#secondKey !== null) {
      const order = compareBytes(current.key, this.#secondKey);
      if (order > 0 || (order === 0 && this.#current > this.#second)) this.#pick();
    }
  }

  seekToFirst(): void {
    for (const source of this.#sources) source.seekToFirst();
    this.#pick();
  }

  seek(key: Uint8Array): void {
    for (const source of this.#sources) source.seek(key);
    this.#pick();
  }

  /** O(sources): there are a handful. */
  #pick(): void {
    const sources = this.#sources;
    let current = NONE;
    let second = NONE;
    let currentKey: Uint8Array | null = null;
    let secondKey: Uint8Array | null = null;
    for (let at = 0; at < sources.length; at++) {
      if (!sources[at].isValid) continue;
      const { key } = sources[at];
      // Of equal keys the one that was met first stays first.
      if (currentKey === null || compareBytes(key, currentKey) < 0) {
        second = current;
        secondKey = currentKey;
        current = at;
        currentKey = key;
      } else if (secondKey === null || compareBytes(key, secondKey) < 0) {
        second = at;
        secondKey = key;
      }
    }
    this.#current = current;
    this.#second = second;
    this.#secondKey = secondKey;
  }

  #source(): TwoWayCursor {
    if (this.#current === NONE) throw new RangeError('the cursor is behind the last record');
    return this.#sources[this.#current];
  }
}
