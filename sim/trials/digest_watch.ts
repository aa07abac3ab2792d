/**
 * What digests say of one log, however often and in whatever pieces it is applied: a window has one digest, if any. And reads
 * that fail in the middle of an entry, as they do where a table is damaged, so that it is taken back and applied again.
 */
import { CorruptionError } from '../../src/base/errors.ts';
import type { KeyRange, KeyValueIterator, KeyValueStore } from '../../src/kv/key_value_store.ts';
import type { StateDigest } from '../../src/kv/state_digest.ts';
import type { Index } from '../../src/log/entry.ts';

/** The digest of each window, by its last entry. */
export class DigestWatch {
  readonly #digests = new Map<Index, number>();

  /** Between two entries. Null: nothing is said that contradicts what was said before. */
  review(digest: StateDigest): string | null {
    digest.settle();
    for (const { index, digest: found } of digest.windows) {
      const known = this.#digests.get(index) ?? found;
      this.#digests.set(index, known);
      if (found !== known) return `the window up to entry ${index} has the digest ${found}, and had ${known}`;
    }
    return null;
  }
}

/** A store of which one read of an entry may fail. */
export class FailingReads implements KeyValueStore {
  readonly #store: KeyValueStore;
  /** Reads of the entry at hand that do not fail; infinity: none of them does. */
  #left = Number.POSITIVE_INFINITY;
  /** What it is for the next entry. */
  #leftNext = Number.POSITIVE_INFINITY;

  constructor(store: KeyValueStore) {
    this.#store = store;
  }

  /** Of the next entry that is begun the read behind so many others fails, if there is one. */
  failNext(readsBefore: number): void {
    this.#leftNext = readsBefore;
  }

  failNoMore(): void {
    this.#left = Number.POSITIVE_INFINITY;
    this.#leftNext = Number.POSITIVE_INFINITY;
  }

  get appliedIndex(): Index {
    return this.#store.appliedIndex;
  }

  beginEntry(index: Index): void {
    this.#left = this.#leftNext;
    this.#leftNext = Number.POSITIVE_INFINITY;
    this.#store.beginEntry(index);
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#store.put(key, value);
  }

  delete(key: Uint8Array): void {
    this.#store.delete(key);
  }

  deleteRange(gte: Uint8Array, lt: Uint8Array): void {
    this.#store.deleteRange(gte, lt);
  }

  get(key: Uint8Array): Uint8Array | null {
    this.#countRead();
    return this.#store.get(key);
  }

  has(key: Uint8Array): boolean {
    this.#countRead();
    return this.#store.has(key);
  }

  iterator(range?: KeyRange & { readonly reverse?: boolean }): KeyValueIterator {
    this.#countRead();
    return this.#store.iterator(range);
  }

  #countRead(): void {
    if (this.#left-- !== 0) return;
    this.#left = Number.POSITIVE_INFINITY;
    throw new CorruptionError('/store', 0, 'a read of a trial fails');
  }
}
