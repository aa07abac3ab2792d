/**
 * How much of the log is kept. What tables cover is needed only by followers that lag: a tail of so many entries stays
 * for them, and of so many bytes; who lags further gets a snapshot.
 *
 * Entries that no table covers cannot be given up. Where they alone exceed the bound (few bytes in the memtable may
 * stand for many in the log: conditional writes of large values that are refused, for one), the store is flushed.
 */
import { sometimes } from '../base/rare.ts';
import type { Index } from '../log/entry.ts';
import type { GroupLog } from '../log/group_log.ts';
import type { Store } from '../lsm/store.ts';
import type { SnapshotLimits } from './snapshots.ts';

export interface LogRetentionOptions {
  readonly log: Pick<
    GroupLog,
    'firstIndex' | 'lastIndex' | 'durableIndex' | 'storedBytes' | 'indexWithin' | 'compact'
  >;
  readonly store: Pick<Store, 'flushedIndex' | 'appliedIndex' | 'flush'>;
  readonly limits: SnapshotLimits;
}

export class LogRetention {
  readonly #options: LogRetentionOptions;
  #isFlushing = false;

  constructor(options: LogRetentionOptions) {
    this.#options = options;
  }

  /** Shortens the log by what is neither needed nor to be kept. */
  review(): void {
    const { log, store, limits } = this.#options;
    if (limits.logTailEntries === null) return;
    const coveredIndex = Math.min(store.flushedIndex, log.durableIndex);
    const index = Math.max(this.#beyondEntries(coveredIndex), this.#beyondBytes(coveredIndex));
    if (index >= log.firstIndex) log.compact(index);
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
