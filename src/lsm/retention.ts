/**
 * Decides which versions a flush or a compaction keeps.
 *
 * Snapshots cut the sequence numbers into stripes: no reader can tell two versions of one stripe apart but by seeing the
 * newer. So of each key the newest version of each stripe is kept, and a version that a range tombstone of its own stripe
 * covers is not. A tombstone is dropped when it is in the oldest stripe and no older run can hold what it hides: then
 * all that it hides is in this very merge, and dropped before it.
 *
 * A value that has expired, and that no snapshot sees, is as good as a tombstone: it becomes one where something older
 * may lie below, which would come back without it, and is dropped where nothing can.
 */
import { copyRange } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import type { Expiry } from './expiry.ts';
import { type RangeTombstone, RangeTombstones } from './range_tombstones.ts';
import { ALL_VISIBLE, type Cursor, RecordKind } from './record.ts';

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
  /** Null: nothing ever expires. */
  readonly expiry: Expiry | null;
}

export class Retention {
  readonly #snapshots: readonly Index[];
  readonly #covers: RangeTombstones | null;
  readonly #below: Below;
  readonly #expiry: Expiry | null;
  /** Of the record asked about last, when it was a value; 0: it never expires. */
  expiresAtMs = 0;
  /** The record asked about last is not kept since there is a newer one of its key, whatever either says. */
  isSuperseded = false;
  #key = new Uint8Array(64);
  /** -1: no key yet. */
  #keyLength = -1;
  #stripe = 0;

  constructor({ snapshots, tombstones, below, expiry }: RetentionOptions) {
    this.#snapshots = snapshots;
    this.#covers = RangeTombstones.of(tombstones);
    this.#below = below;
    this.#expiry = expiry;
  }

  /** As what the record is kept; null: not at all. Asked of every record once, in the order of a cursor. */
  kindKept(record: Cursor): RecordKind | null {
    const { key, sequence } = record;
    const stripe = this.#stripeOf(sequence);
    const isSameKey = this.#isSameKey(key);
    this.isSuperseded = isSameKey && stripe === this.#stripe;
    if (this.isSuperseded) return null;
    if (!isSameKey) this.#remember(key);
    this.#stripe = stripe;
    if (this.#covers !== null && this.#covers.coverAt(key, this.#lastOf(stripe)) > sequence) return null;
    if (record.kind === RecordKind.Put && !this.#hasExpired(record, stripe)) return RecordKind.Put;
    return stripe > 0 || this.#below.mayHold(key, null) ? RecordKind.Tombstone : null;
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

  /** A snapshot may have been taken before the value expired: what one sees stays. */
  #hasExpired(record: Cursor, stripe: number): boolean {
    if (this.#expiry === null) return false;
    const { rule, timeMs } = this.#expiry;
    this.expiresAtMs = rule.expiresAtMs(record.key, record.value);
    return this.expiresAtMs > 0 && this.expiresAtMs <= timeMs && stripe === this.#snapshots.length;
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
    // Keys that follow each other differ in their last bytes.
    let at = key.length - 1;
    while (at >= 0 && this.#key[at] === key[at]) at--;
    return at < 0;
  }

  #remember(key: Uint8Array): void {
    if (key.length > this.#key.length) this.#key = new Uint8Array(2 * key.length);
    copyRange(this.#key, 0, key, 0, key.length);
    this.#keyLength = key.length;
  }
}
