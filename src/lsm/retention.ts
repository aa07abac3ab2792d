/**
 * Decides which versions a flush or a compaction keeps.
 *
 * Snapshots cut the sequence numbers into stripes: no reader can tell two versions of one stripe apart but by seeing the
 * newer. So of each key the newest version of each stripe is kept, and a version that a range tombstone of its own stripe
 * covers is not. A tombstone is dropped when it is in the oldest stripe and no older run can hold what it hides: then
 * all that it hides is in this very merge, and dropped before it.
 */
import { compareBytes } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import { type RangeTombstone, RangeTombstones } from './range_tombstones.ts';
import { ALL_VISIBLE, RecordKind } from './record.ts';

/** What lies below the inputs of a merge. */
export interface Below {
  /** Whether an older run may hold something within `[gte, lt)`; `lt` null: of the key `gte` alone. */
  mayHold(gte: Uint8Array, lt: Uint8Array | null): boolean;
}

export interface RetentionOptions {
  /** Sequence numbers of the snapshots that are held, ascending. */
  readonly snapshots: readonly Index[];
  /** Of all inputs. */
  readonly tombstones: readonly RangeTombstone[];
  readonly below: Below;
}

export class Retention {
  readonly #snapshots: readonly Index[];
  readonly #covers: RangeTombstones | null;
  readonly #below: Below;
  #key = new Uint8Array(64);
  /** -1: no key yet. */
  #keyLength = -1;
  #stripe = 0;

  constructor({ snapshots, tombstones, below }: RetentionOptions) {
    this.#snapshots = snapshots;
    this.#covers = RangeTombstones.of(tombstones);
    this.#below = below;
  }

  /** Asked of every record once, in the order of a cursor. */
  keeps(key: Uint8Array, sequence: Index, kind: RecordKind): boolean {
    const stripe = this.#stripeOf(sequence);
    if (this.#isSameKey(key)) {
      if (stripe === this.#stripe) return false;
    } else this.#remember(key);
    this.#stripe = stripe;
    if (this.#covers !== null && this.#covers.coverAt(key, this.#lastOf(stripe)) > sequence) return false;
    return kind === RecordKind.Put || stripe > 0 || this.#below.mayHold(key, null);
  }

  /** The range tombstones to keep, fragmented. */
  keptTombstones(): RangeTombstone[] {
    const kept: RangeTombstone[] = [];
    for (const { gte, lt, sequences } of this.#covers?.fragments ?? []) {
      let last = -1;
      for (const sequence of sequences) {
        const stripe = this.#stripeOf(sequence);
        if (stripe === last) continue;
        last = stripe;
        if (stripe > 0 || this.#below.mayHold(gte, lt)) kept.push({ gte, lt, sequence });
      }
    }
    return kept;
  }

  /** How many snapshots do not see it. */
  #stripeOf(sequence: Index): number {
    const snapshots = this.#snapshots;
    let stripe = 0;
    while (stripe < snapshots.length && snapshots[stripe] < sequence) stripe++;
    return stripe;
  }

  /** The highest sequence number of a stripe. */
  #lastOf(stripe: number): Index {
    return stripe < this.#snapshots.length ? this.#snapshots[stripe] : ALL_VISIBLE;
  }

  #isSameKey(key: Uint8Array): boolean {
    if (key.length !== this.#keyLength) return false;
    return compareBytes(this.#key.subarray(0, this.#keyLength), key) === 0;
  }

  #remember(key: Uint8Array): void {
    if (key.length > this.#key.length) this.#key = new Uint8Array(2 * key.length);
    this.#key.set(key);
    this.#keyLength = key.length;
  }
}
