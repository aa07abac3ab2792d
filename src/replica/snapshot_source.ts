/**
 * Gives out this node's state as a snapshot: the tables of one moment, held for as long as somebody fetches them. Each
 * request says which records it has, so it does not matter over which connection it comes, or how often; a node that asks
 * for a snapshot that is no longer held is told to begin anew.
 */
import type { Clock, Timer } from '../io/clock.ts';
import type { Index, Term } from '../log/entry.ts';
import type { Store, StoreSnapshot } from '../lsm/store.ts';
import { packRecords, type SnapshotMessage } from './snapshot_codec.ts';

export interface SnapshotSourceOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** The term of an entry that the log still knows. */
  readonly termAt: (index: Index) => Term;
  /** The lowest index that a snapshot must reach to be of use. */
  readonly neededIndex: () => Index;
  readonly chunkBytes: number;
  /** How long nobody may ask before the tables are let go. */
  readonly idleMs: number;
}

type Fetch = SnapshotMessage & { type: 'fetch' };
type Chunk = SnapshotMessage & { type: 'chunk' };

export class SnapshotSource {
  readonly #options: SnapshotSourceOptions;
  #held: { readonly snapshot: StoreSnapshot; readonly term: Term } | null = null;
  #askedAtMs = 0;
  #timer: Timer | null = null;

  constructor(options: SnapshotSourceOptions) {
    this.#options = options;
  }

  /** @throws CorruptionError, DiskError when the tables can't be read. */
  answer({ index, number, after }: Fetch): Chunk {
    this.#askedAtMs = this.#options.clock.monotonicMs();
    if (number === 0) this.#hold();
    const held = this.#held;
    if (held === null || (number > 0 && held.snapshot.index !== index)) {
      return { type: 'chunk', index, term: 0, number: -1, records: new Uint8Array(0), isLast: false };
    }
    const { snapshot, term } = held;
    const { records } = snapshot;
    if (number === 0) {
      records.seekToFirst();
    } else {
      records.seek(after);
      if (records.isValid && equal(records.key, after)) records.next();
    }
    const packed = packRecords(records, this.#options.chunkBytes);
    return { type: 'chunk', index: snapshot.index, term, number, records: packed, isLast: !records.isValid };
  }

  /** Of the snapshot that is being given out; null: none is. */
  get heldIndex(): Index | null {
    return this.#held?.snapshot.index ?? null;
  }

  /** Lets go of the tables: whoever fetches begins anew. */
  release(): void {
    this.#letGo();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#letGo();
  }

  /** One that is held already serves any number of nodes, unless the log has moved on behind it. */
  #hold(): void {
    const { store, termAt, neededIndex, clock, idleMs } = this.#options;
    if (this.#held !== null && this.#held.snapshot.index >= neededIndex()) return;
    this.#letGo();
    const term = termAt(store.flushedIndex);
    this.#held = { snapshot: store.snapshot(), term };
    this.#timer ??= clock.after(idleMs, this.#onTimer);
  }

  readonly #onTimer = (): void => {
    const { clock, idleMs } = this.#options;
    const leftMs = this.#askedAtMs + idleMs - clock.monotonicMs();
    this.#timer = leftMs > 0 ? clock.after(leftMs, this.#onTimer) : null;
    if (leftMs <= 0) this.#letGo();
  };

  #letGo(): void {
    this.#held?.snapshot.release();
    this.#held = null;
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
