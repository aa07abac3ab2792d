/**
 * Gives out what this replica holds of a range of keys, as of one log entry: for another one that has a damaged table there,
 * or has to be rebuilt. Unlike a raft snapshot (`snapshot_source.ts`) it is of the moment at which it is asked for, what is
 * in memtables included, so that it can be asked to reach at least so far.
 *
 * For each peer one state is held, until it has not asked for a while. Every request says which records it has, so it does
 * not matter how often it comes.
 */
import { CorruptionError } from '../base/errors.ts';
import { rarely } from '../base/rare.ts';
import { equalBytes } from '../codec/bytes.ts';
import type { Clock, Timer } from '../io/clock.ts';
import type { Index, Term } from '../log/entry.ts';
import { LiveRecords } from '../lsm/live_records.ts';
import type { ReadSnapshot, Store } from '../lsm/store.ts';
import type { StoreIterator } from '../lsm/store_iterator.ts';
import type { NodeId } from '../raft/message.ts';
import { packRecords, type RangeChunk, type RangeFetch } from './snapshot_codec.ts';

export interface RangeSourceOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** The term of an entry that the log still knows. */
  readonly termAt: (index: Index) => Term;
  /** Whether this replica may be asked at all. */
  readonly isSound: () => boolean;
  readonly chunkBytes: number;
  /** How long a peer may not ask before what is held for it is let go. */
  readonly idleMs: number;
}

interface Held {
  readonly request: number;
  readonly snapshot: ReadSnapshot;
  readonly term: Term;
  askedAtMs: number;
}

const NOTHING = new Uint8Array(0);

export class RangeSource {
  readonly #options: RangeSourceOptions;
  readonly #held = new Map<NodeId, Held>();
  #timer: Timer | null = null;

  constructor(options: RangeSourceOptions) {
    this.#options = options;
  }

  /** @throws DiskError when tables can't be read. */
  answer(from: NodeId, fetch: RangeFetch): RangeChunk {
    const { store, clock, chunkBytes, isSound } = this.#options;
    const { request, low, end, number, after } = fetch;
    if (!isSound()) return refusal(request);
    if (number === 0) this.#hold(from, fetch);
    const held = this.#held.get(from);
    if (held === undefined || held.request !== request) return refusal(request);
    held.askedAtMs = clock.monotonicMs();
    const { snapshot, term } = held;
    let iterator: StoreIterator | null = null;
    try {
      // Throws at once where a table in the range has been put aside.
      iterator = snapshot.iterator({ gte: low, ...(end !== null && { lt: end }), verify: true });
      const records = new LiveRecords(iterator);
      records.seek(number === 0 ? low : after);
      if (number > 0 && records.isValid && equalBytes(records.key, after)) records.next();
      const packed = packRecords(records, chunkBytes);
      const isLast = !records.isValid;
      return {
        type: 'range-chunk',
        request,
        index: snapshot.sequence,
        term,
        number,
        records: packed,
        isLast,
      };
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      // Or it is about a table that has been merged away since.
      store.noteDamage(error);
      rarely('a replica that is asked for a range is damaged there as well');
      return refusal(request);
    } finally {
      iterator?.close();
    }
  }

  /** Lets go of everything: whoever fetches begins anew. */
  release(): void {
    for (const { snapshot } of this.#held.values()) snapshot.release();
    this.#held.clear();
  }

  stop(): void {
    this.#timer?.cancel();
    this.release();
  }

  #hold(from: NodeId, { request, atLeast }: RangeFetch): void {
    const { store, clock, idleMs, termAt } = this.#options;
    const before = this.#held.get(from);
    if (before?.request === request) return;
    before?.snapshot.release();
    this.#held.delete(from);
    if (store.appliedIndex < atLeast) return;
    const term = termAt(store.appliedIndex);
    const snapshot = store.takeSnapshot();
    this.#held.set(from, { request, snapshot, term, askedAtMs: clock.monotonicMs() });
    this.#timer ??= clock.after(idleMs, this.#onTimer);
  }

  readonly #onTimer = (): void => {
    const { clock, idleMs } = this.#options;
    const idleSinceMs = clock.monotonicMs() - idleMs;
    for (const [peer, { askedAtMs, snapshot }] of this.#held) {
      if (askedAtMs > idleSinceMs) continue;
      snapshot.release();
      this.#held.delete(peer);
    }
    this.#timer = this.#held.size > 0 ? clock.after(idleMs, this.#onTimer) : null;
  };
}

function refusal(request: number): RangeChunk {
  return { type: 'range-chunk', request, index: 0, term: 0, number: -1, records: NOTHING, isLast: false };
}
