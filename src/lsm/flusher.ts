/**
 * What makes tables of memtables, one at a time and the oldest first, and of a state that replaces everything. It goes on
 * until it succeeds or the disk fails for good: where there is no space it waits for some.
 */
import { assert } from '../base/assert.ts';
import { CorruptionError, type Outcome } from '../base/errors.ts';
import { rarely, sometimes } from '../base/rare.ts';
import type { Timer } from '../io/clock.ts';
import type { Index } from '../log/entry.ts';
import { keepingAll } from './expiry.ts';
import type { Immutable, Memtables } from './memtables.ts';
import type { Cursor } from './record.ts';
import { Retention } from './retention.ts';
import { type Build, SteppedRun, startBuild } from './run_build.ts';
import type { StoreSettings } from './store_options.ts';
import type { TableReader } from './table_reader.ts';
import { isOutOfSpace, type TableSet } from './table_set.ts';

const NOTHING_BELOW = { mayHold: () => false };

type Done = (error: Error | null) => void;

/** A state that is to replace this store's. */
interface Incoming {
  readonly index: Index;
  readonly records: Cursor;
  readonly done: Done;
}

export interface FlusherHost {
  readonly isUrgent: () => boolean;
  /** Sequence numbers of the snapshots that are held, ascending. */
  snapshots(): Index[];
  /** Nothing else changes the tables: all of them may be replaced. */
  mayReplaceAll(): boolean;
  /** A memtable is in tables. */
  onFlushed(): void;
  /** There was no space a while ago: it is time to try again. */
  onRetry(): void;
  onInstalled(): void;
  onOutOfSpace(error: Error): void;
  onFailure(error: Error): void;
}

export class Flusher {
  readonly #settings: StoreSettings;
  readonly #tables: TableSet;
  readonly #memtables: Memtables;
  readonly #host: FlusherHost;
  #build: Build | null = null;
  #isBusy = false;
  #retry: Timer | null = null;
  /** Why what is next waits for space; null: it does not, or it has succeeded since. */
  outOfSpace: Error | null = null;
  #incoming: Incoming | null = null;
  /** Who waits for everything up to an index to be in tables. */
  #waiters: { readonly index: Index; readonly done: Done }[] = [];
  /** Since the store was opened; the bytes are those of the tables. */
  flushes = 0;
  flushedBytes = 0;

  constructor(settings: StoreSettings, tables: TableSet, memtables: Memtables, host: FlusherHost) {
    this.#settings = settings;
    this.#tables = tables;
    this.#memtables = memtables;
    this.#host = host;
  }

  /** Something is being written, or waits for space. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Another state is to replace everything: nothing may be applied. */
  get isInstalling(): boolean {
    return this.#incoming !== null;
  }

  /** Everything that waits now is to be in tables; `done` comes then, at once when nothing waits. */
  awaitFlush(done: Done): void {
    const index = this.#memtables.coveredIndex;
    if (index === null) done(null);
    else this.#waiters.push({ index, done });
  }

  /** See `Store.install`. It begins with the next `work` that may replace all. */
  install(index: Index, records: Cursor, done: Done): void {
    assert(this.#incoming === null, 'one snapshot is installed at a time', { index });
    this.#incoming = { index, records, done };
  }

  /** Begins what is next, if nothing is under way. */
  work(): void {
    if (this.#isBusy) return;
    const { oldest } = this.#memtables;
    if (this.#incoming === null) {
      if (oldest !== undefined) this.#flush(oldest);
    } else if (this.#host.mayReplaceAll()) this.#replaceAll(this.#incoming);
  }

  /** Nothing is begun any more, and what is under way does not end. */
  stop(): void {
    this.#build?.stop();
    this.#retry?.cancel();
  }

  tellWaiters(error: Error): void {
    const waiters = this.#waiters.map(({ done }) => done);
    if (this.#incoming !== null) waiters.push(this.#incoming.done);
    this.#incoming = null;
    this.#waiters = [];
    for (const done of waiters) done(error);
  }

  #flush({ memtable, coveredIndex }: Immutable): void {
    this.#isBusy = true;
    if (memtable.isEmpty) {
      // Entries without writes: only the index moves.
      sometimes('a flush has nothing to write');
      this.#commit([], coveredIndex);
      return;
    }
    const onBuilt = (readers: readonly TableReader[]): void => this.#commit(readers, coveredIndex);
    const job = {
      source: memtable,
      below: this.#tables.version.runs,
      snapshots: this.#host.snapshots(),
      timeMs: 0,
      nextNumber: this.#tables.nextNumber,
      isUrgent: this.#host.isUrgent,
    };
    this.#build = startBuild(this.#settings, job, (outcome) => this.#onBuilt(outcome, onBuilt));
  }

  #commit(built: readonly TableReader[], coveredIndex: Index): void {
    this.#tables.change({
      flushedIndex: coveredIndex,
      built,
      level: 0,
      run: built[0]?.number ?? 0,
      removed: [],
      moved: [],
      onDurable: () => {
        this.#isBusy = false;
        this.outOfSpace = null;
        this.flushes++;
        for (const { sizeBytes } of built) this.flushedBytes += sizeBytes;
        this.#memtables.retireOldest();
        this.#tellFlushed();
        this.#host.onFlushed();
      },
    });
  }

  #tellFlushed(): void {
    const { flushedIndex } = this.#tables;
    const told = this.#waiters.filter(({ index }) => index <= flushedIndex);
    this.#waiters = this.#waiters.filter(({ index }) => index > flushedIndex);
    for (const { done } of told) done(null);
  }

  #replaceAll({ index, records, done }: Incoming): void {
    this.#isBusy = true;
    const memtables = this.#memtables;
    const retention = new Retention({
      snapshots: [],
      tombstones: [],
      below: NOTHING_BELOW,
      expiry: keepingAll(this.#settings.expiry),
    });
    const onBuilt = (built: readonly TableReader[]): void => {
      assert(memtables.appliedIndex <= index, 'nothing is applied while a snapshot is installed', { index });
      const placed = this.#tables.version.placed();
      this.#tables.change({
        flushedIndex: index,
        built,
        level: this.#settings.compaction === 'levelled' ? 1 : 0,
        run: built[0]?.number ?? 0,
        removed: placed.map(({ table }) => table),
        moved: [],
        onDurable: () => {
          this.#isBusy = false;
          this.outOfSpace = null;
          this.#incoming = null;
          memtables.replaceAll(index);
          this.#tellFlushed();
          done(null);
          this.#host.onInstalled();
        },
      });
    };
    const job = { nextNumber: this.#tables.nextNumber, isUrgent: this.#host.isUrgent };
    const input = { records, retention };
    this.#build = new SteppedRun(this.#settings, job, input, (outcome) => this.#onBuilt(outcome, onBuilt));
  }

  #onBuilt(outcome: Outcome<TableReader[]>, onBuilt: (readers: readonly TableReader[]) => void): void {
    const build = this.#build;
    this.#build = null;
    const isOfNew = !outcome.ok && this.#isOfNewTable(outcome.error);
    if (outcome.ok) onBuilt(outcome.value);
    else if (isOutOfSpace(outcome.error) || isOfNew) {
      build?.discard();
      if (isOfNew) rarely('a table is damaged as soon as it is written');
      else {
        rarely('there is no space for a flush');
        this.#host.onOutOfSpace(outcome.error);
        this.outOfSpace = outcome.error;
      }
      this.#retry = this.#settings.clock.after(this.#settings.outOfSpaceRetryMs, () => {
        this.#isBusy = false;
        this.#host.onRetry();
      });
    } else this.#host.onFailure(outcome.error);
  }

  /** What has been written is not what is read back. With quarantine it is written once more: nothing rests on it yet. */
  #isOfNewTable(error: Error): boolean {
    if (this.#settings.damagedTables !== 'quarantine' || !(error instanceof CorruptionError)) return false;
    return error.path.startsWith(`${this.#settings.directory}/table-`);
  }
}
