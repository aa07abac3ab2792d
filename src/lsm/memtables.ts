/**
 * The memtables of a store: the active one, which is written to, and behind it the full ones that wait for their flush.
 *
 * Writes belong to log entries. An entry is never torn apart between memtables, so a flush covers whole entries; what has
 * left the active memtable, or is seen by a snapshot, is closed: nothing may be added to it.
 */
import { assert } from '../base/assert.ts';
import { rarely, sometimes } from '../base/rare.ts';
import { compareBytes } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import { Memtable } from './memtable.ts';
import { RecordKind } from './record.ts';
import { findInMemtable, type Said } from './store_reads.ts';
import type { ValuePlace } from './value_place.ts';

const EMPTY = new Uint8Array(0);
/** Where the active memtable is filled by this part when one is flushed, writes come fast. */
const SPARE_AT = 0.25;

/** A full memtable, waiting for its flush. */
export interface Immutable {
  readonly memtable: Memtable;
  /** The log index that is covered once it is flushed. */
  readonly coveredIndex: Index;
}

export class Memtables {
  readonly #memtableBytes: number;
  #active: Memtable;
  /** One that has been flushed, for the next that is needed: a new one is tens of megabytes that the system has to clear. */
  #spare: Memtable | null = null;
  /** Nothing was written since `rest`. */
  #isAtRest = false;
  /** From old to new. */
  #immutables: Immutable[] = [];
  #appliedIndex: Index;
  #closedIndex: Index;
  /** Of keys and values, since the store was opened. */
  writtenBytes = 0;

  /** @param flushedIndex What tables cover. */
  constructor(memtableBytes: number, flushedIndex: Index) {
    this.#memtableBytes = memtableBytes;
    this.#active = new Memtable(memtableBytes);
    this.#appliedIndex = flushedIndex;
    this.#closedIndex = flushedIndex;
  }

  /** The last entry that was begun. */
  get appliedIndex(): Index {
    return this.#appliedIndex;
  }

  /** How many wait for their flush. */
  get waiting(): number {
    return this.#immutables.length;
  }

  /** The next to be flushed. */
  get oldest(): Immutable | undefined {
    return this.#immutables[0];
  }

  /** What is covered once all that wait are flushed; null: none does. */
  get coveredIndex(): Index | null {
    return this.#immutables[this.#immutables.length - 1]?.coveredIndex ?? null;
  }

  /** How much of the active one is used: at 1 and above the next entry goes to another. */
  get filled(): number {
    return this.#active.usedBytes / this.#memtableBytes;
  }

  /** From new to old. */
  list(): Memtable[] {
    const memtables = [this.#active];
    for (let at = this.#immutables.length - 1; at >= 0; at--) memtables.push(this.#immutables[at].memtable);
    return memtables;
  }

  /** What follows belongs to this entry. @returns whether the active one was full, and now waits for its flush. */
  begin(index: Index): boolean {
    if (index <= this.#appliedIndex) {
      assert(false, 'entries are applied in order, each once', { index, applied: this.#appliedIndex });
    }
    const isFull = this.filled >= 1 && !this.#active.isEmpty;
    if (isFull) this.rotate();
    this.#appliedIndex = index;
    this.#isAtRest = false;
    return isFull;
  }

  /** Takes back the entry that was begun last. */
  abandon(): void {
    const index = this.#appliedIndex;
    assert(index > this.#closedIndex, 'only an entry that is open is taken back', { index });
    this.#active.removeEntry(index);
    this.#appliedIndex = index - 1;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#assertEntryIsOpen();
    this.writtenBytes += key.length + value.length;
    this.#active.add(key, this.#appliedIndex, RecordKind.Put, value);
  }

  delete(key: Uint8Array): void {
    this.#assertEntryIsOpen();
    this.writtenBytes += key.length;
    this.#active.add(key, this.#appliedIndex, RecordKind.Tombstone, EMPTY);
  }

  deleteRange(gte: Uint8Array, lt: Uint8Array): void {
    this.#assertEntryIsOpen();
    if (compareBytes(gte, lt) < 0) this.#active.addRange(gte, lt, this.#appliedIndex);
  }

  /** What they say of a key, the newest that knows it first. */
  find(key: Uint8Array, visible: Index, place: ValuePlace): Said {
    const said = findInMemtable(this.#active, key, visible, place);
    if (said !== 'nothing') return said;
    for (let at = this.#immutables.length - 1; at >= 0; at--) {
      const older = findInMemtable(this.#immutables[at].memtable, key, visible, place);
      if (older !== 'nothing') return older;
    }
    return 'nothing';
  }

  /** Nothing may be added to what was applied so far. */
  close(): void {
    this.#closedIndex = this.#appliedIndex;
  }

  /** The active one waits for its flush from now on, and another takes its place. */
  rotate(): void {
    this.close();
    this.#immutables.push({ memtable: this.#active, coveredIndex: this.#appliedIndex });
    if (this.#spare !== null) sometimes('a memtable is used again');
    this.#active = this.#spare ?? new Memtable(this.#memtableBytes);
    this.#spare = null;
  }

  /** Writes have come to rest: none is kept for the next until there is one more entry. */
  rest(): void {
    if (this.#spare !== null) rarely('a memtable that was kept is let go');
    this.#spare = null;
    this.#isAtRest = true;
  }

  /** The oldest is in tables now. Kept for the next only where that is filling already: a store that rests keeps no memory. */
  retireOldest(): void {
    const flushed = this.#immutables.shift();
    if (flushed === undefined || this.#isAtRest || this.filled < SPARE_AT) return;
    const { memtable } = flushed;
    if (!memtable.isReusable) {
      rarely('a memtable that was flushed is still read, or has grown');
      return;
    }
    memtable.clear();
    this.#spare = memtable;
  }

  /** Tables hold everything as of `index`, and nothing else counts. */
  replaceAll(index: Index): void {
    this.#active = new Memtable(this.#memtableBytes);
    this.#immutables = [];
    this.#appliedIndex = index;
    this.#closedIndex = index;
  }

  /** A write that came after its entry was given to a flush would be lost by a crash: replaying starts behind the entry. */
  #assertEntryIsOpen(): void {
    if (this.#appliedIndex <= this.#closedIndex) {
      assert(false, 'an entry is written before it is flushed', { index: this.#appliedIndex });
    }
  }
}
