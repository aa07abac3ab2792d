/**
 * The keys that are there: a view of the store that leaves out what has expired and what was in a bucket when that was
 * dropped, although its bytes may not have been swept yet.
 *
 * Whether a key has expired is decided by the time of the state machine alone (`MachineState.nowMs`), never by a clock: it
 * is the latest time in the entries applied, the same on every replica, and never goes back, so a key that was gone
 * stays gone. A read hands in the leader's wall time only to find out whether it meets a key that should be gone by
 * now (`metDue`); the leader then moves the time on by a log entry before it answers.
 */
import type { Index } from '../log/entry.ts';
import { expiryKey, lentStoreKey } from './key_space.ts';
import { decodeStored, encodeStored, encodeStoredRange, NEVER, type StoredValue } from './stored_value.ts';

/** Where bytes are: the store, or a transaction's draft over it. Keys and values are copied. */
export interface Cells {
  get(key: Uint8Array): Uint8Array | null;
  put(key: Uint8Array, value: Uint8Array): void;
  delete(key: Uint8Array): void;
}

/** What the state machine knows beside the keys. All of it is in the store as well. */
export interface MachineState {
  /** The latest time in the entries applied; 0 as long as none needed it. */
  nowMs: number;
  /** Buckets whose remains are being swept: what is not newer than this revision is gone. */
  readonly drops: Map<string, Index>;
  /** No key expires before this; for leaders only, to know when a tick is worth its while. */
  nextDueMs: number;
}

const EMPTY = new Uint8Array(0);

export class LiveKeys {
  readonly cells: Cells;
  readonly state: MachineState;
  /** Of the entry being applied. */
  revision: Index = 0;
  /** Wall time of the read under way; 0: none. */
  asOfMs = 0;
  /** Bytes of the values met by `find` since it was set to 0: what an entry costs beside its own bytes. */
  touchedBytes = 0;
  /** The read has met a key that is there for the state machine and should have expired by `asOfMs`. */
  metDue = false;

  constructor(cells: Cells, state: MachineState) {
    this.cells = cells;
    this.state = state;
  }

  /** @throws CorruptionError, DiskError when it cannot be told. */
  find(bucket: string, key: Uint8Array): StoredValue | null {
    const bytes = this.cells.get(lentStoreKey(bucket, key, 0, key.length));
    if (bytes === null) return null;
    this.touchedBytes += bytes.length;
    return this.live(bucket, bytes);
  }

  /** What the store keeps for a key of `bucket`; null when the key is there no more. */
  live(bucket: string, bytes: Uint8Array): StoredValue | null {
    const stored = decodeStored(bytes);
    const { drops, nowMs } = this.state;
    if (drops.size > 0 && stored.revision <= (drops.get(bucket) ?? -1)) return null;
    if (stored.expiresAtMs !== NEVER) {
      if (stored.expiresAtMs <= nowMs) return null;
      if (stored.expiresAtMs <= this.asOfMs) this.metDue = true;
    }
    return stored;
  }

  /** @param expiresAtMs `NEVER` or a point in time; when that has passed, the key is gone at once. */
  put(bucket: string, key: Uint8Array, value: Uint8Array, expiresAtMs: number): void {
    const name = lentStoreKey(bucket, key, 0, key.length);
    if (expiresAtMs === NEVER) {
      this.cells.put(name, encodeStored(value, this.revision, NEVER));
    } else if (expiresAtMs <= this.state.nowMs) {
      this.cells.delete(name);
    } else {
      this.cells.put(name, encodeStored(value, this.revision, expiresAtMs));
      this.remember(name, expiresAtMs);
    }
  }

  /** As `put` of a key and a value that never expires, which stand in `bytes`, of which `view` is a view. */
  putLasting(
    bucket: string,
    bytes: Uint8Array,
    view: DataView,
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
  ): void {
    const name = lentStoreKey(bucket, bytes, keyStart, keyEnd);
    this.cells.put(name, encodeStoredRange(bytes, valueStart, valueEnd, this.revision, NEVER, view));
  }

  delete(bucket: string, key: Uint8Array): void {
    this.cells.delete(lentStoreKey(bucket, key, 0, key.length));
  }

  /** Lets the sweep look at a store key then. What it finds there by that time decides what it does. */
  remember(name: Uint8Array, expiresAtMs: number): void {
    this.cells.put(expiryKey(expiresAtMs, name), EMPTY);
    if (expiresAtMs < this.state.nextDueMs) this.state.nextDueMs = expiresAtMs;
  }
}
