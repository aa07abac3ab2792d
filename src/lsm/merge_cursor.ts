/**
 * Merges cursors, newest source first, into one that shows every version of every key: keys ascending, versions from new
 * to old. What a source holds of a key is newer than what the sources behind it hold.
 *
 * Records often come from the same source many times in a row, so the source that would be next is remembered: while
 * the current one stays before it, one comparison a record is enough.
 */
import { compareBytes } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import type { Cursor, RecordKind } from './record.ts';

const NONE = -1;

export class MergeCursor implements Cursor {
  readonly #sources: readonly Cursor[];
  /** Places in `#sources` of the first record and of the one behind it in another source. */
  #current = NONE;
  #second = NONE;

  /** @param sources From new to old: of equal keys the first source's come first. */
  constructor(sources: readonly Cursor[]) {
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

  next(): void {
    const current = this.#source();
    current.next();
    if (!current.isValid || (this.#second !== NONE && !this.#isBefore(this.#current, this.#second)))
      this.#pick();
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
    this.#current = NONE;
    this.#second = NONE;
    for (let at = 0; at < this.#sources.length; at++) {
      if (!this.#sources[at].isValid) continue;
      if (this.#current === NONE || this.#isBefore(at, this.#current)) {
        this.#second = this.#current;
        this.#current = at;
      } else if (this.#second === NONE || this.#isBefore(at, this.#second)) this.#second = at;
    }
  }

  /** Order of the records that two sources stand on: by key, then from new to old. */
  #isBefore(a: number, b: number): boolean {
    const order = compareBytes(this.#sources[a].key, this.#sources[b].key);
    return order === 0 ? a < b : order < 0;
  }

  #source(): Cursor {
    if (this.#current === NONE) throw new RangeError('the cursor is behind the last record');
    return this.#sources[this.#current];
  }
}
