/**
 * Merges cursors, newest source first, into one that shows every version of every key: keys ascending, versions from new
 * to old. What a source holds of a key is newer than what the sources behind it hold.
 *
 * Records often come from the same source many times in a row, so the source that would be next is remembered: while
 * the current one stays before it, one comparison a record is enough. When it does not, that one is the current, and only
 * who comes behind it is looked for.
 */
import { compareBytes } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import type { Cursor, RecordKind, TwoWayCursor } from './record.ts';
import type { ValuePlace } from './value_place.ts';

const NONE = -1;

export class MergeCursor implements Cursor {
  readonly #sources: readonly TwoWayCursor[];
  /** Where each source stands; null: behind its end. Asking them anew costs more than comparing. */
  readonly #keys: (Uint8Array | null)[];
  /** Places in `#sources` of the first record and of the one behind it in another source, and the key of that. */
  #current = NONE;
  #second = NONE;
  #secondKey: Uint8Array | null = null;

  /** @param sources From new to old: of equal keys the first source's come first. */
  constructor(sources: readonly TwoWayCursor[]) {
    this.#sources = sources;
    this.#keys = sources.map(() => null);
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

  get crc(): number | undefined {
    return this.#source().crc;
  }

  verify(): void {
    this.#source().verify?.();
  }

  /** As `value`, without a view. */
  placeValue(place: ValuePlace): void {
    this.#source().placeValue(place);
  }

  next(): void {
    const current = this.#source();
    current.next();
    const key = current.isValid ? current.key : null;
    this.#keys[this.#current] = key;
    if (key !== null) {
      if (this.#secondKey === null) return;
      const order = compareBytes(key, this.#secondKey);
      if (order < 0 || (order === 0 && this.#current < this.#second)) return;
    }
    this.#current = this.#second;
    this.#findSecond();
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
    for (let at = 0; at < sources.length; at++) this.#keys[at] = sources[at].isValid ? sources[at].key : null;
    this.#current = NONE;
    this.#findSecond();
    this.#current = this.#second;
    this.#findSecond();
  }

  /** The first of those that are not the current one. O(sources) */
  #findSecond(): void {
    const keys = this.#keys;
    let second = NONE;
    let secondKey: Uint8Array | null = null;
    for (let at = 0; at < keys.length; at++) {
      const key = keys[at];
      if (key === null || at === this.#current) continue;
      // Of equal keys the one that was met first stays first.
      if (secondKey !== null && compareBytes(key, secondKey) >= 0) continue;
      second = at;
      secondKey = key;
    }
    this.#second = second;
    this.#secondKey = secondKey;
  }

  #source(): TwoWayCursor {
    if (this.#current === NONE) throw new RangeError('the cursor is behind the last record');
    return this.#sources[this.#current];
  }
}
