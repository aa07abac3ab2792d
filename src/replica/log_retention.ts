/**
 * How much of the log is kept. What tables cover is needed only by followers that lag: a tail of so many entries stays
 * for them, and of so many bytes; who lags further gets a snapshot. While somebody fetches one, the entries behind it
 * stay, up to a multiple of these bytes: under load the tail would else have gone on by the time the snapshot is there,
 * and that node would fetch one after the other for ever.
 *
 * A group that shares the log with a busier one holds it back with its last entry, which is always needed: its leader is
 * asked for a new one then.
 *
 * Entries that no table covers cannot be given up. Where they alone exceed the bound (few bytes in the memtable may
 * stand for many in the log: conditional writes of large values that are refused, for one), the store is flushed.
 */
import { rarely, sometimes } from '../base/rare.ts';
import type { Index } from '../log/entry.ts';
import type { GroupLog } from '../log/group_log.ts';
import type { Store } from '../lsm/store.ts';
import type { SnapshotLimits } from './snapshots.ts';

export interface LogRetentionOptions {
  readonly log: Pick<
    GroupLog,
    'firstIndex' | 'lastIndex' | 'durableIndex' | 'storedBytes' | 'indexWithin' | 'isBehind' | 'compact'
  >;
  readonly store: Pick<Store, 'flushedIndex' | 'appliedIndex' | 'flush'>;
  readonly limits: SnapshotLimits;
  /** Of a snapshot that somebody fetches; null: none. */
  readonly heldIndex: () => Index | null;
}

/** By so many times the bound may be exceeded while a snapshot is fetched. */
const HELD_FACTOR = 8;

export class LogRetention {
  readonly #options: LogRetentionOptions;
  #isFlushing = false;

  constructor(options: LogRetentionOptions) {
    this.#options = options;
  }

  /** The log could be shortened if this group had an entry at its end. */
  get isInTheWay(): boolean {
    const { log, limits } = this.#options;
    const { logBytesMax, logTailEntries } = limits;
    if (logTailEntries === null || logBytesMax === undefined || log.storedBytes <= logBytesMax) return false;
    return log.lastIndex > 0 && log.isBehind(logBytesMax);
  }

  /** Shortens the log by what is neither needed nor to be kept. */
  review(): void {
    const { log, store, limits } = this.#options;
    if (limits.logTailEntries === null) return;
    const coveredIndex = Math.min(store.flushedIndex, log.durableIndex);
    const index = Math.max(this.#beyondEntries(coveredIndex), this.#beyondBytes(coveredIndex));
    const neededIndex = this.#mayHold ? (this.#options.heldIndex() ?? index) : index;
    if (index > neededIndex) rarely('the log waits for a snapshot that is fetched');
    const compacted = Math.min(index, neededIndex);
    if (compacted >= log.firstIndex) log.compact(compacted);
  }

  get #mayHold(): boolean {
    const { log, limits } = this.#options;
    return log.storedBytes <= HELD_FACTOR * (limits.logBytesMax ?? Number.POSITIVE_INFINITY);
  }

  #beyondEntries(coveredIndex: Index): Index {
    const { log, limits } = this.#options;
    const tail = limits.logTailEntries ?? 0;
    const index = coveredIndex - tail;
    // Not entry by entry.
    return index - log.firstIndex < tail >> 3 ? 0 : index;
  }

  #beyondBytes(coveredIndex: Index): Index {
    const { log, store, limits } = this.#options;
    const { logBytesMax } = limits;
    if (logBytesMax === undefined || log.storedBytes <= logBytesMax) return 0;
    const index = log.indexWithin(logBytesMax);
    if (index > coveredIndex && store.appliedIndex > store.flushedIndex) this.#flush();
    return Math.min(index, coveredIndex);
  }

  #flush(): void {
    if (this.#isFlushing) return;
    sometimes('the log has the store flushed');
    this.#isFlushing = true;
    // A store that cannot flush has said so; the next turn tries again.
    this.#options.store.flush(() => {
      this.#isFlushing = false;
    });
  }
}
