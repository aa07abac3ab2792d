/**
 * Which keys the last entries have written: what the change feed is read from. In memory only, so every replica has its
 * own, from its last start on, and of a bounded size. Values are not in it; a feed reads the current ones.
 *
 * Two parts, an older and a newer. Changes go into the newer; when that is full it becomes the older, whose
 * predecessor is forgotten. Adding a change copies its key and allocates nothing.
 */
import { assert } from '../base/assert.ts';
import type { Index } from '../log/entry.ts';

export const ChangeKind = { Key: 0, Drop: 1 } as const;
export type ChangeKind = (typeof ChangeKind)[keyof typeof ChangeKind];

export interface Change {
  readonly revision: Index;
  /** `Drop`: the key is the prefix of a bucket that was dropped. */
  readonly kind: ChangeKind;
  /** A store key, as a view. */
  readonly key: Uint8Array;
}

/** Of each of the two parts. With no changes at all, none are kept: no feed can be read. */
export interface JournalLimits {
  readonly changes: number;
  readonly keyBytes: number;
}

export const NO_JOURNAL: JournalLimits = { changes: 0, keyBytes: 0 };
export const DEFAULT_JOURNAL_LIMITS: JournalLimits = { changes: 65_536, keyBytes: 4 * 1024 * 1024 };

export class Journal {
  readonly #limits: JournalLimits;
  #start: Index;
  #older: Part | null = null;
  #newer: Part;

  /** @param start The changes of the entries behind this one will be added. */
  constructor(start: Index, limits: JournalLimits) {
    this.#limits = limits;
    this.#start = start;
    this.#newer = new Part(limits);
  }

  /** All changes of the entries behind this one are here. */
  get start(): Index {
    return this.#start;
  }

  /** @param revision At least that of any earlier change. */
  add(revision: Index, kind: ChangeKind, key: Uint8Array): void {
    if (this.#limits.changes === 0) {
      this.#start = revision;
      return;
    }
    if (!this.#newer.add(revision, kind, key)) {
      if (this.#older !== null) this.#start = this.#older.lastRevision;
      this.#older = this.#newer;
      this.#newer = new Part(this.#limits);
      const fits = this.#newer.add(revision, kind, key);
      assert(fits, 'an empty part takes any key', { bytes: key.length });
    }
  }

  /** Changes of entries behind `revision`, which is not below `start`: oldest first, until `visit` has enough. */
  since(revision: Index, visit: (change: Change) => 'more' | 'end'): void {
    assert(revision >= this.#start, 'what is asked for is still here', { revision, start: this.#start });
    for (const part of [this.#older, this.#newer]) {
      if (part !== null && part.visit(revision, visit) === 'end') return;
    }
  }
}

const FIRST_CHANGES = 64;
const FIRST_KEY_BYTES = 1024;

/** Grows to its limits; the first key fits whatever its length. */
class Part {
  readonly #limits: JournalLimits;
  #revisions = new Float64Array(FIRST_CHANGES);
  #kinds = new Uint8Array(FIRST_CHANGES);
  /** Where the key behind a change's own begins. */
  #ends = new Uint32Array(FIRST_CHANGES);
  #bytes = new Uint8Array(FIRST_KEY_BYTES);
  #count = 0;

  constructor(limits: JournalLimits) {
    this.#limits = limits;
  }

  get lastRevision(): Index {
    return this.#count === 0 ? 0 : this.#revisions[this.#count - 1];
  }

  /** False when it is full. */
  add(revision: Index, kind: ChangeKind, key: Uint8Array): boolean {
    const start = this.#count === 0 ? 0 : this.#ends[this.#count - 1];
    const end = start + key.length;
    if (this.#count > 0 && (this.#count >= this.#limits.changes || end > this.#limits.keyBytes)) return false;
    if (this.#count === this.#kinds.length) this.#growChanges();
    if (end > this.#bytes.length) this.#growBytes(end);
    this.#revisions[this.#count] = revision;
    this.#kinds[this.#count] = kind;
    this.#ends[this.#count] = end;
    this.#bytes.set(key, start);
    this.#count++;
    return true;
  }

  visit(revision: Index, visit: (change: Change) => 'more' | 'end'): 'more' | 'end' {
    for (let at = this.#firstAbove(revision); at < this.#count; at++) {
      const change: Change = {
        revision: this.#revisions[at],
        kind: this.#kinds[at] as ChangeKind,
        key: this.#bytes.subarray(at === 0 ? 0 : this.#ends[at - 1], this.#ends[at]),
      };
      if (visit(change) === 'end') return 'end';
    }
    return 'more';
  }

  /** Revisions ascend: a binary search. */
  #firstAbove(revision: Index): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#revisions[middle] > revision) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #growChanges(): void {
    const length = 2 * this.#kinds.length;
    const revisions = new Float64Array(length);
    const kinds = new Uint8Array(length);
    const ends = new Uint32Array(length);
    revisions.set(this.#revisions);
    kinds.set(this.#kinds);
    ends.set(this.#ends);
    this.#revisions = revisions;
    this.#kinds = kinds;
    this.#ends = ends;
  }

  #growBytes(needed: number): void {
    const bytes = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
  }
}
