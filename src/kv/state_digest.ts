/**
 * A digest of what applying does to the store, by which replicas find out that they have drifted apart.
 *
 * Entries are counted off in windows of `windowEntries`: `k * windowEntries + 1` to `(k + 1) * windowEntries`. The digest
 * of a window is a CRC chained over its entries and all that each of them writes, in order: puts with key and value,
 * deletes, deleted ranges. All replicas write the same at the same entry, so two that differ in a window have not
 * read the same state before it, or have not carried out an entry in the same way.
 *
 * Nothing is kept on the disk. A window that was not applied whole, in one go, by this process has no digest: where a
 * process starts in its middle, where a snapshot takes the place of its state, where an entry was taken back
 * (`StateMachine.abandonEntry`). No digest is better than one that raises a false alarm.
 *
 * What is not seen: a key that has been lost or changed behind the back of the state machine, before an entry depends on
 * it. Checksums and the scrubber look for that.
 *
 * Measured on Node 20, per entry that puts a key of 16 bytes: 0.08 us with a value of 32 bytes, 0.15 us with 128, 0.5 us
 * with 1 KiB; 4 ns where there is nobody to compare with.
 */
import { assert } from '../base/assert.ts';
import { crc32 } from '../codec/crc32.ts';
import type { Index } from '../log/entry.ts';
import type { KeyRange, KeyValueIterator, KeyValueStore } from './key_value_store.ts';

export const DEFAULT_DIGEST_WINDOW_ENTRIES = 1024;
/** Digests of so many windows are kept: for as long as somebody may still ask who did what. */
export const DIGEST_WINDOWS_MAX = 64;

const Mutation = { Put: 1, Delete: 2, DeleteRange: 3 } as const;
const EMPTY = new Uint8Array(0);
/** Odd, so that multiplying loses nothing; 2^32 divided by the golden ratio. */
const SPREAD = 0x9e3779b1;

export interface WindowDigest {
  /** Of the window's last entry. */
  readonly index: Index;
  /** An unsigned integer of 32 bits. */
  readonly digest: number;
}

export class StateDigest {
  /** The same on all replicas that are compared. */
  readonly windowEntries: number;
  /** Of the latest windows that were applied whole, ascending. */
  #windows: WindowDigest[] = [];
  #isActive = true;
  /** The window at hand has been applied whole up to `#lastIndex`. */
  #isWhole = false;
  #lastIndex: Index = 0;
  /** The last entry of the window at hand. */
  #endIndex: Index = 0;
  #digest = 0;

  /** @param windowEntries 1 or more. */
  constructor(windowEntries: number = DEFAULT_DIGEST_WINDOW_ENTRIES) {
    assert(Number.isSafeInteger(windowEntries) && windowEntries >= 1, 'a window holds entries', {
      windowEntries,
    });
    this.windowEntries = windowEntries;
  }

  /** Of at most `DIGEST_WINDOWS_MAX` windows, ascending. */
  get windows(): readonly WindowDigest[] {
    return this.#windows;
  }

  /** Whether there is anybody to compare with; otherwise no digest is made. */
  setActive(isActive: boolean): void {
    this.#isActive = isActive;
    if (!isActive) this.#isWhole = false;
  }

  beginEntry(index: Index): void {
    this.settle();
    if (index !== this.#lastIndex + 1 || index > this.#endIndex) this.#beginWindow(index);
    this.#lastIndex = index;
    if (this.#isWhole) this.#digest = mix(this.#digest, index);
  }

  put(key: Uint8Array, value: Uint8Array): void {
    if (this.#isWhole) this.#add(Mutation.Put, key, value);
  }

  delete(key: Uint8Array): void {
    if (this.#isWhole) this.#add(Mutation.Delete, key, EMPTY);
  }

  deleteRange(gte: Uint8Array, lt: Uint8Array): void {
    if (this.#isWhole) this.#add(Mutation.DeleteRange, gte, lt);
  }

  /** The entry that was begun last is applied: if its window ends with it, that has a digest from now on. */
  settle(): void {
    if (!this.#isWhole || this.#lastIndex !== this.#endIndex) return;
    this.#isWhole = false;
    this.#windows.push({ index: this.#endIndex, digest: this.#digest });
    if (this.#windows.length > DIGEST_WINDOWS_MAX) this.#windows.shift();
  }

  /** The entry that was begun last has been taken back. */
  abandonEntry(): void {
    this.#isWhole = false;
  }

  /** The state is another one now: what was done to the one before says nothing of it. */
  clear(): void {
    this.#isWhole = false;
    this.#lastIndex = 0;
    this.#endIndex = 0;
    this.#windows = [];
  }

  #beginWindow(index: Index): void {
    const behind = (index - 1) % this.windowEntries;
    this.#isWhole = this.#isActive && behind === 0;
    this.#endIndex = index - 1 - behind + this.windowEntries;
    this.#digest = 0;
  }

  #add(kind: number, key: Uint8Array, value: Uint8Array): void {
    // The lengths, so that no byte can move from the one to the other unseen.
    const seed = mix(mix(this.#digest, kind + 4 * key.length), value.length);
    this.#digest = crc32(value, crc32(key, seed));
  }
}

/** Different digests stay different. */
function mix(digest: number, value: number): number {
  return Math.imul(digest ^ (value | 0), SPREAD) >>> 0;
}

/** The store, with a note in the digest of everything that is written. */
export class DigestedStore implements KeyValueStore {
  readonly #store: KeyValueStore;
  readonly #digest: StateDigest;

  constructor(store: KeyValueStore, digest: StateDigest) {
    this.#store = store;
    this.#digest = digest;
  }

  get appliedIndex(): Index {
    return this.#store.appliedIndex;
  }

  beginEntry(index: Index): void {
    this.#digest.beginEntry(index);
    this.#store.beginEntry(index);
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#digest.put(key, value);
    this.#store.put(key, value);
  }

  delete(key: Uint8Array): void {
    this.#digest.delete(key);
    this.#store.delete(key);
  }

  deleteRange(gte: Uint8Array, lt: Uint8Array): void {
    this.#digest.deleteRange(gte, lt);
    this.#store.deleteRange(gte, lt);
  }

  get(key: Uint8Array): Uint8Array | null {
    return this.#store.get(key);
  }

  has(key: Uint8Array): boolean {
    return this.#store.has(key);
  }

  iterator(range?: KeyRange & { readonly reverse?: boolean }): KeyValueIterator {
    return this.#store.iterator(range);
  }
}
