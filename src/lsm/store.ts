/**
 * The store: a log-structured merge tree (O'Neil et al., 1996). Writes go to a memtable; a full one is flushed to a run of
 * sorted tables in the background, and runs are compacted into fewer and deeper ones (see `compaction.ts`).
 *
 * It has no log of its own. The sequence number of a write is the index of the log entry it came from, `flushedIndex`
 * says how far the tables cover that log, and after a crash the caller applies again what follows. An entry is never
 * torn apart between memtables, so a flush covers whole entries.
 */

import { assert } from '../base/assert.ts';
import { type CorruptionError, EnvelopeError, type Outcome, toError } from '../base/errors.ts';
import { rarely } from '../base/rare.ts';
import type { Index } from '../log/entry.ts';
import { approximateBytes } from './approximate_bytes.ts';
import { Compactor, type CompactorHost } from './compactor.ts';
import { Flusher, type FlusherHost } from './flusher.ts';
import { LiveRecords } from './live_records.ts';
import type { TableEntry } from './manifest.ts';
import { Memtables } from './memtables.ts';
import { type MendPlace, RangeMending } from './range_mending.ts';
import { ReadCounters } from './read_counters.ts';
import { ReadSnapshot, type SnapshotSource } from './read_snapshot.ts';
import { ALL_VISIBLE, type Cursor } from './record.ts';
import { Scrubber } from './scrubber.ts';
import { type OpenedFiles, readState, renewManifest } from './store_files.ts';
import { type IteratorRange, StoreIterator } from './store_iterator.ts';
import {
  type CompactionProgress,
  type StoreOptions,
  type StoreSettings,
  type StoreStatistics,
  settingsOf,
  type WritePressure,
} from './store_options.ts';
import { findInRuns, iteratorSources } from './store_reads.ts';
import { statisticsOf } from './store_statistics.ts';
import type { Borders, Table } from './table.ts';
import { closeOpened, type OpenedTable, openTables, TableSet } from './table_set.ts';
import { ValuePlace } from './value_place.ts';
import type { Version } from './version.ts';
import { compactionPressure } from './write_pressure.ts';

export type { MendPlace } from './range_mending.ts';
export type { ReadSnapshot } from './read_snapshot.ts';
export type { StoreOptions, StoreStatistics, WritePressure } from './store_options.ts';

/** A memtable that is filled by this part is to be flushed one day; who writes tables is told so. */
const PREPARE_AT = 0.0625;
type Done = (error: Error | null) => void;

/** Gives a merge up, if nobody else waits for it: what it has written is removed. */
export type AbandonMerge = () => void;

/** What the tables held at one moment: the effects of all log entries up to `index`. */
export interface StoreSnapshot {
  readonly index: Index;
  /** The live keys, ascending. */
  readonly records: Cursor;
  /** Lets go of the tables; the records must not be used any more. */
  readonly release: () => void;
}

/** Which tables make up the store, and how far they cover the log. */
export interface HeldTables {
  readonly flushedIndex: Index;
  readonly tables: readonly TableEntry[];
  readonly release: () => void;
}

export class Store {
  /** Background work has failed for good; nothing more is flushed or merged. */
  onFailure: (error: Error) => void = () => {};
  /** `writable` has become true. */
  onWritable: () => void = () => {};
  /**
   * A table was found damaged, by the scrubber or, with quarantine, by a compaction: it is to be repaired from another copy.
   * With quarantine compaction leaves it alone from now on; keys that cannot be read give errors in any case.
   */
  onDamage: (table: Table, error: CorruptionError) => void = () => {};
  readonly #options: StoreSettings;
  readonly #tables: TableSet;
  readonly #compactor: Compactor;
  readonly #memtables: Memtables;
  readonly #flusher: Flusher;
  readonly #mending: RangeMending;
  readonly #scrubber: Scrubber | null;
  #isBuilderPrepared = false;
  /** Sequence numbers of the snapshots that are held, ascending; one as often as it is held. */
  #snapshots: Index[] = [];
  readonly #snapshotSource: SnapshotSource = {
    findAt: (key, sequence) => this.#findAt(key, sequence),
    iteratorAt: (range, sequence) => this.#iteratorAt(range, sequence),
    onSnapshotReleased: (sequence) => this.#snapshots.splice(this.#snapshots.indexOf(sequence), 1),
  };
  /** Without quarantine each read of what is damaged meets it again: the log is told once. */
  readonly #damagedTold = new WeakSet<Table>();
  #failure: Error | null = null;
  #closed = false;
  #compactionPressure: WritePressure = 'none';
  #wasWritable = true;
  readonly #reads = new ReadCounters();
  /** Of what was found last. */
  readonly #place = new ValuePlace();

  /**
   * Recovers a store, or makes a new one. `done` gets CorruptionError when a file is damaged or missing, DiskError when
   * the disk fails, EnvelopeError `INVALID` or `UNSUPPORTED` when a compression is not known.
   */
  static open(options: StoreOptions, done: (outcome: Outcome<Store>) => void): void {
    const { disk, directory, clock } = options;
    let opened: readonly OpenedTable[] = [];
    const fail = (error: unknown): void => {
      closeOpened(opened);
      clock.later(() => done({ ok: false, error: toError(error) }));
    };
    try {
      const settings = settingsOf(options);
      disk.makeDirectory(directory);
      const state = readState(disk, directory);
      opened = openTables(settings, state);
      renewManifest(disk, directory, state, (outcome) => {
        if (outcome.ok) done({ ok: true, value: new Store(settings, outcome.value, opened) });
        else fail(outcome.error);
      });
    } catch (error) {
      fail(error);
    }
  }

  private constructor(settings: StoreSettings, files: OpenedFiles, opened: readonly OpenedTable[]) {
    this.#options = settings;
    this.#tables = new TableSet(this.#options, files, opened, {
      onOutOfSpace: (error) => this.#noteOutOfSpace(error),
      onFailure: (error) => this.#fail(error),
    });
    this.#memtables = new Memtables(settings.memtableBytes, files.state.flushedIndex);
    const host: CompactorHost = {
      isUrgent: this.#isUrgent,
      snapshots: () => this.#heldSnapshots(),
      onCompacted: () => this.#work(),
      onOutOfSpace: (error) => this.#noteOutOfSpace(error),
      onDamage: (table, error) => this.#noteDamage(table, error),
      onFailure: (error) => this.#fail(error),
    };
    this.#compactor = new Compactor(this.#options, this.#tables, host);
    this.#flusher = new Flusher(settings, this.#tables, this.#memtables, this.#flusherHost());
    this.#mending = new RangeMending(settings, this.#tables, {
      isUrgent: this.#isUrgent,
      flushApplied: (done) => {
        this.#closeApplied();
        this.#flusher.awaitFlush(done);
      },
      snapshots: () => this.#snapshots,
      resumeCompactions: () => this.#resumeCompactions(),
      onMended: () => this.#work(),
    });
    const { clock, scrubBytesPerSecond: bytesPerSecond, logger } = this.#options;
    const onDiskError = (table: Table, error: unknown): void => {
      logger.log('warn', 'table-not-scrubbed', { path: table.path, why: toError(error).message });
    };
    // Of what cannot even be opened no event tells: whoever owns the store asks for `quarantined`.
    for (const table of this.quarantined) if (table.damage !== null) this.#tellDamage(table, table.damage);
    const version = (): Version => this.#tables.version;
    const { onDamage } = host;
    this.#scrubber =
      bytesPerSecond > 0 ? new Scrubber({ clock, bytesPerSecond, version, onDamage, onDiskError }) : null;
  }

  /** Tables cover the log up to here, durably. */
  get flushedIndex(): Index {
    return this.#tables.flushedIndex;
  }

  /** The last entry that was begun. */
  get appliedIndex(): Index {
    return this.#memtables.appliedIndex;
  }

  /** False while too much waits for background work: who can wait should. */
  get writable(): boolean {
    const { immutableMemtablesMax } = this.#options;
    return this.#memtables.waiting < immutableMemtablesMax && this.#compactionPressure !== 'stop';
  }

  get pressure(): WritePressure {
    return this.writable ? this.#compactionPressure : 'stop';
  }

  /** Why a flush, a compaction or an edit of the manifest waits for space, until it has succeeded: it goes on by itself. */
  get outOfSpace(): Error | null {
    return this.#flusher.outOfSpace ?? this.#compactor.outOfSpace ?? this.#tables.outOfSpace;
  }

  /** Tables that are known to be damaged; only with quarantine. */
  get quarantined(): readonly Table[] {
    return this.#tables.version.quarantined;
  }

  /** What follows belongs to the log entry `index`, which is above `appliedIndex`; an entry may hold nothing. */
  beginEntry(index: Index): void {
    if (this.#flusher.isInstalling)
      assert(false, 'nothing is applied while a snapshot is installed', { index });
    if (this.#memtables.begin(index)) this.#work();
    else if (!this.#isBuilderPrepared && this.#memtables.filled >= PREPARE_AT) this.#prepareBuilder();
  }

  /**
   * Takes back the log entry that was begun last, with all that it has written. Within the turn in which it was begun;
   * nothing may have been flushed since, nor a snapshot taken.
   */
  abandonEntry(): void {
    this.#memtables.abandon();
  }

  /**
   * The bytes are copied. Between `beginEntry` and whatever returns to the event loop, or calls `flush` or
   * `takeSnapshot`.
   */
  put(key: Uint8Array, value: Uint8Array): void {
    this.#memtables.put(key, value);
  }

  /** As `put`. */
  delete(key: Uint8Array): void {
    this.#memtables.delete(key);
  }

  /** As `put`: deletes the keys `[gte, lt)` by a single record, however many there are. */
  deleteRange(gte: Uint8Array, lt: Uint8Array): void {
    this.#memtables.deleteRange(gte, lt);
  }

  /**
   * The value, as a view that is valid until control returns to the event loop; null when there is no such key.
   * @throws CorruptionError, DiskError when it cannot be told.
   */
  get(key: Uint8Array): Uint8Array | null {
    return this.#findAt(key, ALL_VISIBLE)?.view ?? null;
  }

  /** As `get`, without a view: the place, which is of use until the next lookup, of a snapshot too. */
  find(key: Uint8Array): ValuePlace | null {
    return this.#findAt(key, ALL_VISIBLE);
  }

  has(key: Uint8Array): boolean {
    return this.#findAt(key, ALL_VISIBLE) !== null;
  }

  /** As `get`, of many keys: their values in the order of the keys. */
  getMany(keys: readonly Uint8Array[]): (Uint8Array | null)[] {
    return keys.map((key) => this.get(key));
  }

  /**
   * Live keys as of now; of a log entry that is being applied, what was written so far. Damage shows when it is met. Close
   * it: it holds files.
   */
  iterator(range: IteratorRange = {}): StoreIterator {
    return this.#iteratorAt(range, ALL_VISIBLE);
  }

  /** Reads as of now, whatever is written later; the log entry at hand is complete with it. Release it. */
  takeSnapshot(): ReadSnapshot {
    const { appliedIndex } = this.#memtables;
    this.#memtables.close();
    this.#snapshots.push(appliedIndex);
    return new ReadSnapshot(this.#snapshotSource, appliedIndex);
  }

  /** See `approximate_bytes.ts`. */
  approximateBytes(gte: Uint8Array, lt: Uint8Array): number {
    return approximateBytes(this.#tables.version, gte, lt);
  }

  /** Nothing was written for a moment: memory that is kept only for fast writes is let go. */
  rest(): void {
    this.#memtables.rest();
  }

  /**
   * `done` comes, later, when everything applied before the call is in tables and durable: `flushedIndex` is then no lower
   * than `appliedIndex` is now.
   */
  flush(done: Done): void {
    if (!this.#isUsable(done)) return;
    this.#closeApplied();
    if (this.#memtables.waiting === 0) this.#options.clock.later(() => done(null));
    else this.#flusher.awaitFlush(done);
  }

  /**
   * Flushes, then merges all tables into one run: what is deleted or superseded is gone. `done` comes later, but not once
   * the merge was abandoned.
   */
  merge(done: Done): AbandonMerge {
    let isAbandoned = false;
    if (this.#isUsable(done)) {
      this.flush((error) => {
        if (isAbandoned) return;
        if (error !== null) done(error);
        else if (this.#isUsable(done)) this.#compactor.mergeAll(done);
      });
    }
    return () => {
      isAbandoned = true;
      this.#compactor.abandon(done);
    };
  }

  /** The tables in force: their files stay as they are until `release`. With the log behind `flushedIndex` they are all. */
  holdTables(): HeldTables {
    const { flushedIndex } = this;
    const version = this.#tables.version.hold();
    const tables = version.placed().map(({ level, run, table: { number, low, end } }) => {
      return { number, level, run, low, end };
    });
    return { flushedIndex, tables, release: () => version.release() };
  }

  /** What the tables hold now, `flushedIndex` and no further. @throws CorruptionError of a table that was put aside; DiskError */
  snapshot(): StoreSnapshot {
    const { version } = this.#tables;
    const range = { verify: true };
    const sources = iteratorSources([], version, range, ALL_VISIBLE);
    version.hold();
    const release = (): void => version.release();
    const records = new LiveRecords(new StoreIterator(sources, range, () => {}));
    return { index: this.flushedIndex, records, release };
  }

  /**
   * Replaces all that the store holds by `records`, the state as of the log entry `index`, which is not below
   * `appliedIndex`. `done` comes later, when that is durable; until then nothing must be applied, and the old state is
   * there, also after a crash. No snapshot may be held.
   */
  install(index: Index, records: Cursor, done: Done): void {
    if (!this.#isUsable(done)) return;
    const applied = this.appliedIndex;
    assert(this.#snapshots.length === 0, 'nobody reads what a raft snapshot replaces', { index });
    assert(index >= applied, 'a snapshot does not go back', { index, applied });
    this.#flusher.install(index, records, done);
    this.#compactor.pause();
    this.#work();
  }

  /**
   * A reader of this store has met this. With quarantine the table is put aside from now on.
   * @returns whether it is: not when it is about no table of this store.
   */
  noteDamage(error: CorruptionError): boolean {
    const found = this.#tables.version.placed().find(({ table }) => table.path === error.path);
    if (found === undefined) return false;
    if (found.table.damage === null) this.#noteDamage(found.table, error);
    return found.table.damage !== null;
  }

  /**
   * The first step to replace what the tables say of a range of keys. Nothing is compacted until `endMend`, and everything
   * applied so far becomes tables; `done` comes then, later or at once, but not behind `endMend`. Until then what is applied
   * further stays out of them.
   */
  beginMend(done: (outcome: Outcome<MendPlace>) => void): void {
    const failed = (error: Error | null): void => {
      if (error !== null) done({ ok: false, error });
    };
    if (!this.#isUsable(failed)) return;
    this.#compactor.pause();
    this.#mending.begin(this.appliedIndex, done);
  }

  /**
   * Replaces all that tables up to `place` say of the keys `[low, end)` by `records`, the live keys of the range as of the log
   * entry `place.index`. `done` comes later, when that is durable; tables that are damaged and hold nothing else are
   * gone then. What was applied behind that entry stands before it. No snapshot of before that entry may be held.
   */
  mend(borders: Borders, place: MendPlace, records: Cursor, done: Done): void {
    if (!this.#isUsable(done)) return;
    assert(!this.#flusher.isInstalling, 'nothing is mended that a snapshot replaces', { index: place.index });
    this.#mending.mend(borders, place, records, done);
  }

  /** What began with `beginMend` is over, well or not; what was being built is given up. */
  endMend(): void {
    this.#mending.end();
  }

  #resumeCompactions(): void {
    if (this.#mending.isUnderWay || this.#closed || this.#flusher.isInstalling) return;
    this.#compactor.resume();
  }

  /** The compaction under way; null: none is. */
  get compaction(): CompactionProgress | null {
    return this.#compactor.progress;
  }

  statistics(): StoreStatistics {
    const { merges, moves, mergedBytes } = this.#compactor;
    return statisticsOf(this.#memtables.list(), this.#tables.version, this.#options, {
      writtenBytes: this.#memtables.writtenBytes,
      flushes: this.#flusher.flushes,
      flushedBytes: this.#flusher.flushedBytes,
      merges,
      moves,
      mergedBytes,
      backgroundJobs: (this.#flusher.isBusy ? 1 : 0) + (this.#compactor.isBusy ? 1 : 0),
      pressure: this.pressure,
      snapshots: this.#snapshots.length,
      scrubbedBytes: this.#scrubber?.bytes ?? 0,
      scrubs: this.#scrubber?.passes ?? 0,
      tableReads: this.#reads.reads,
      filterNegatives: this.#reads.filterNegatives,
      filterTruePositives: this.#reads.filterTruePositives,
      filterFalsePositives: this.#reads.filterFalsePositives,
      isFlushing: this.#flusher.isBusy,
      compaction: this.compaction,
    });
  }

  /** Stops background work and closes the files; does not flush. Who waits is told so. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#flusher.stop();
    this.#mending.stop();
    this.#scrubber?.stop();
    const error = new EnvelopeError('CLOSED', 'the store was closed');
    this.#compactor.stop(error);
    this.#tables.close();
    this.#flusher.tellWaiters(error);
  }

  #findAt(key: Uint8Array, visible: Index): ValuePlace | null {
    const place = this.#place;
    const said = this.#memtables.find(key, visible, place);
    if (said !== 'nothing') return said === 'value' ? place : null;
    return findInRuns(this.#tables.version.runs, key, visible, this.#reads, place) ? place : null;
  }

  #iteratorAt(range: IteratorRange, visible: Index): StoreIterator {
    const memtables = this.#memtables.list();
    const { version } = this.#tables;
    const sources = iteratorSources(memtables, version, range, visible);
    version.hold();
    for (const memtable of memtables) memtable.hold();
    return new StoreIterator(sources, range, () => {
      for (const memtable of memtables) memtable.release();
      version.release();
    });
  }

  /** A copy: a merge under way keeps to what was held when it began. What is taken later sees the newest versions only. */
  #heldSnapshots(): Index[] {
    return [...new Set(this.#snapshots)];
  }

  #isUsable(done: Done): boolean {
    const error = this.#failure ?? (this.#closed ? new EnvelopeError('CLOSED', 'the store is closed') : null);
    if (error !== null) this.#options.clock.later(() => done(error));
    return error === null;
  }

  /** What was applied so far waits for its flush, if tables do not hold it yet. */
  #closeApplied(): void {
    const memtables = this.#memtables;
    if (memtables.appliedIndex <= (memtables.coveredIndex ?? this.flushedIndex)) return;
    memtables.rotate();
    this.#work();
  }

  #flusherHost(): FlusherHost {
    return {
      isUrgent: this.#isUrgent,
      snapshots: () => this.#heldSnapshots(),
      mayReplaceAll: () => !this.#compactor.isBusy && !this.#mending.isCommitted,
      onFlushed: () => this.#work(),
      onRetry: () => this.#work(),
      onInstalled: () => {
        this.#compactor.resume();
        this.#reviewPressure();
        this.onWritable();
      },
      onOutOfSpace: (error) => this.#noteOutOfSpace(error),
      onFailure: (error) => this.#fail(error),
    };
  }

  #prepareBuilder(): void {
    this.#isBuilderPrepared = true;
    this.#options.runBuilder?.prepare();
  }

  /** Starts what is to be done next, if nothing is under way: memtables oldest first, beside one compaction. */
  #work(): void {
    if (this.#closed || this.#failure !== null) return;
    this.#flusher.work();
    this.#compactor.work();
    this.#reviewPressure();
  }

  /** Writers wait for what is built; so does everybody while a snapshot is installed. */
  readonly #isUrgent = (): boolean => this.pressure !== 'none' || this.#flusher.isInstalling;

  /** Told once, however often it is tried again. */
  #noteOutOfSpace({ message: why }: Error): void {
    if (this.outOfSpace === null) this.#options.logger.log('warn', 'store-out-of-space', { why });
  }

  #noteDamage(table: Table, error: CorruptionError): void {
    if (this.#options.damagedTables === 'quarantine') table.quarantine(error);
    rarely('a damaged table is put aside');
    this.#tellDamage(table, error);
    this.onDamage(table, error);
  }

  #tellDamage(table: Table, { message: why }: CorruptionError): void {
    if (this.#damagedTold.has(table)) return;
    this.#options.logger.log('error', 'table-damaged', { path: table.path, why });
    this.#damagedTold.add(table);
  }

  #reviewPressure(): void {
    this.#compactionPressure = compactionPressure(
      this.#tables.version,
      this.#compactor.isBusy,
      this.#options,
    );
    const { writable } = this;
    const becameWritable = writable && !this.#wasWritable;
    this.#wasWritable = writable;
    if (becameWritable) this.onWritable();
  }

  #fail(error: Error): void {
    if (this.#failure !== null || this.#closed) return;
    this.#failure = error;
    this.#options.logger.log('error', 'store-failed', {
      directory: this.#options.directory,
      why: error.message,
    });
    // A sync that has failed may have taken with it what others rely on: nothing that is under way may end well.
    this.#flusher.stop();
    this.#mending.stop();
    this.#compactor.stop(error);
    this.#flusher.tellWaiters(error);
    this.onFailure(error);
  }
}
