/**
 * Range tombstones: each deletes what was written to the keys `[gte, lt)` before it. They overlap as they like; a set of
 * them is kept in fragments that do not, in order of keys, each with the sequence numbers of all tombstones that cover
 * it. So a lookup is one binary search. (RocksDB, "DeleteRange: a new native operation", 2018.)
 *
 * A tombstone hides records of lower sequence numbers only. Of one log entry, a write that follows a `deleteRange` stays;
 * what the same entry wrote before it gets tombstones of its own (see `Memtable.addRange`).
 */
import { compareBytes } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';

export interface RangeTombstone {
  readonly gte: Uint8Array;
  /** Above `gte`. */
  readonly lt: Uint8Array;
  readonly sequence: Index;
}

/** Keys that the same tombstones cover. */
export interface Fragment {
  readonly gte: Uint8Array;
  readonly lt: Uint8Array;
  /** From new to old, each once; never empty. */
  readonly sequences: readonly Index[];
}

export class RangeTombstones {
  /** Ascending; they do not overlap. Never empty. */
  readonly fragments: readonly Fragment[];

  private constructor(fragments: readonly Fragment[]) {
    this.fragments = fragments;
  }

  /** Null when there is none. */
  static of(tombstones: readonly RangeTombstone[]): RangeTombstones | null {
    return tombstones.length === 0 ? null : new RangeTombstones(fragmentsOf(tombstones));
  }

  /** Sequence number of the newest tombstone that covers the key, of those up to `visible`; 0 when none does. */
  coverAt(key: Uint8Array, visible: Index): Index {
    const { fragments } = this;
    let low = 0;
    let high = fragments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareBytes(fragments[middle].lt, key) <= 0) low = middle + 1;
      else high = middle;
    }
    if (low === fragments.length) return 0;
    const { gte, sequences } = fragments[low];
    if (compareBytes(gte, key) > 0) return 0;
    for (const sequence of sequences) if (sequence <= visible) return sequence;
    return 0;
  }

  /** One tombstone for each fragment and sequence number, in order. */
  toList(): RangeTombstone[] {
    return this.fragments.flatMap(({ gte, lt, sequences }) =>
      sequences.map((sequence) => ({ gte, lt, sequence })),
    );
  }
}

/** What is left of them within `[low, end)`; null: no such border. */
export function clipTombstones(
  tombstones: readonly RangeTombstone[],
  low: Uint8Array | null,
  end: Uint8Array | null,
): RangeTombstone[] {
  const clipped: RangeTombstone[] = [];
  for (const { gte, lt, sequence } of tombstones) {
    const from = low !== null && compareBytes(gte, low) < 0 ? low : gte;
    const to = end !== null && compareBytes(lt, end) > 0 ? end : lt;
    if (compareBytes(from, to) < 0) clipped.push({ gte: from, lt: to, sequence });
  }
  return clipped;
}

/** Cuts them at all their borders; neighbours that the same tombstones cover become one again. */
function fragmentsOf(tombstones: readonly RangeTombstone[]): Fragment[] {
  const byStart = [...tombstones].sort((a, b) => compareBytes(a.gte, b.gte));
  const borders = tombstones.flatMap(({ gte, lt }) => [gte, lt]).sort(compareBytes);
  const fragments: Fragment[] = [];
  let active: RangeTombstone[] = [];
  let next = 0;
  for (let at = 0; at + 1 < borders.length; at++) {
    const gte = borders[at];
    const lt = borders[at + 1];
    if (compareBytes(gte, lt) === 0) continue;
    active = active.filter((tombstone) => compareBytes(tombstone.lt, gte) > 0);
    for (; next < byStart.length && compareBytes(byStart[next].gte, gte) <= 0; next++)
      active.push(byStart[next]);
    if (active.length === 0) continue;
    const sequences = [...new Set(active.map(({ sequence }) => sequence))].sort((a, b) => b - a);
    const last = fragments[fragments.length - 1];
    if (last !== undefined && compareBytes(last.lt, gte) === 0 && isSame(last.sequences, sequences)) {
      fragments[fragments.length - 1] = { gte: last.gte, lt, sequences };
    } else fragments.push({ gte, lt, sequences });
  }
  return fragments;
}

function isSame(a: readonly Index[], b: readonly Index[]): boolean {
  return a.length === b.length && a.every((sequence, at) => sequence === b[at]);
}
