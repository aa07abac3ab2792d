/** Merges cursors, newest source first, into one that shows each key once, in its newest version. */
import { compareBytes } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import type { Cursor, RecordKind } from './record.ts';

export class MergeCursor implements Cursor {
  readonly #sources: readonly Cursor[];
  #current: Cursor | null = null;
  /** A copy: the source's own view changes as it moves. */
  #key: Uint8Array = new Uint8Array(0);

  /** @param sources From new to old: of equal keys the first source's counts. */
  constructor(sources: readonly Cursor[]) {
    this.#sources = sources;
  }

  get isValid(): boolean {
    return this.#current !== null;
  }

  get key(): Uint8Array {
    return this.#key;
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
    // Older versions of the key, in this source and in older ones, are passed over.
    for (const source of this.#sources) {
      while (source.isValid && compareBytes(source.key, this.#key) <= 0) source.next();
    }
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
    let best: Cursor | null = null;
    for (const source of this.#sources) {
      if (source.isValid && (best === null || compareBytes(source.key, best.key) < 0)) best = source;
    }
    this.#current = best;
    if (best !== null) this.#key = best.key.slice();
  }

  #source(): Cursor {
    if (this.#current === null) throw new RangeError('the cursor is behind the last record');
    return this.#current;
  }
}
