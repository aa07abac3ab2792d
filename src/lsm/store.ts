/**
 * The store: a log-structured merge tree (O'Neil et al., 1996). Writes go to a memtable; a full one is flushed to a run of
 * sorted tables in the background, and runs are compacted into fewer and deeper ones (see `compaction.ts`).
 *
 * It has no log of its own. The sequence number of a write is the index of the log entry it came from, `flushedIndex`
 * says how far the tables cover that log, and after a crash the caller applies again what follows. An entry is never
 * torn apart between memtables, so a flush covers whole entries.
 */

import { assert } from '../base/assert.ts';
import { CorruptionError, EnvelopeError, type Outcome } from '../base/errors.ts';
import { rarely, sometimes } from '../base/rare.ts';
import { compareBytes } from '../codec/bytes.ts';
import type { Timer } from '../io/clock.ts';
import type { Index } from '../log/entry.ts';
import { approximateBytes } from './approximate_bytes.ts';
import { debtBytes, pendingRuns } from './compaction.ts';
import { Compactor, type CompactorHost } from './compactor.ts';
import type { Expiry } from './expiry.ts';
import { LiveRecords, RecordsAt } from './live_records.ts';
import type { TableEntry } from './manifest.ts';
import { Memtable } from './memtable.ts';
import { ReadCounters } from './read_counters.ts';
import { ReadSnapshot, type SnapshotSource } from './read_snapshot.ts';
import { ALL_VISIBLE, type Cursor, RecordKind } from './record.ts';
import { Retention } from './retention.ts';
import { type Build, SteppedRun, startBuild } from './run_build.ts';
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
import { findInMemtable, findInRuns, iteratorSources } from './store_reads.ts';
import { statisticsOf } from './store_statistics.ts';
import { type Borders, isWithin, type Table } from './table.ts';
import type { TableReader } from './table_reader.ts';
import { closeOpened, isOutOfSpace, type OpenedTable, openTables, TableSet } from './table_set.ts';
import { ValuePlace } from './value_place.ts';
import type { Version } from './version.ts';

export type { ReadSnapshot } from './read_snapshot.ts';
export type { StoreOptions, StoreStatistics, WritePressure } from './store_options.ts';

const EMPTY = new Uint8Array(0);
const NOTHING_BELOW = { mayHold: () => false };
const ANYTHING_BELOW = { mayHold: () => true };

/** A memtable that is filled by this part is to be flushed one day; who writes tables is told so. */
const PREPARE_AT = 0.0625;
/** Where the active memtable is filled by this part when one is flushed, writes come fast. */
const SPARE_AT = 0.25;

type Done = (error: Error | null) => void;

/** Gives a merge up, if nobody else waits for it: what it has written is removed. */
export type AbandonMerge = () => void;

/** A full memtable, waiting for its flush. */
interface Immutable {
  readonly memtable: Memtable;
  /** The log index that is covered once it is flushed. */
  readonly coveredIndex: Index;
}

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

/** Where a mended range goes: behind what was flushed later, before what tables held up to the log entry `index`. */
export interface MendPlace {
  readonly index: Index;
  readonly run: number;
}

/** A state that is to replace this store's. */
interface Incoming {
  readonly index: Index;
  readonly records: Cursor;
  readonly done: Done;
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
  #active: Memtable;
  /** One that has been flushed, for the next that is needed: a new one is tens of megabytes that the system has to clear. */
  #spare: Memtable | null = null;
  #isBuilderPrepared = false;
  /** From old to new. */
  #immutables: Immutable[] = [];
  #appliedIndex: Index;
  /** What was applied up to here has left the active memtable, or is seen by a snapshot: no write may be added to it. */
  #closedIndex: Index;
  /** Sequence numbers of the snapshots that are held, ascending; one as often as it is held. */
  #snapshots: Index[] = [];
  readonly #snapshotSource: SnapshotSource = {
    findAt: (key, sequence) => this.#findAt(key, sequence),
    iteratorAt: (range, sequence) => this.#iteratorAt(range, sequence),
    onSnapshotReleased: (sequence) => this.#snapshots.splice(this.#snapshots.indexOf(sequence), 1),
  };
  /** Of a flush or of what replaces everything. */
  #build: Build | null = null;
  #isFlushing = false;
  /** Between `beginMend` and `endMend`. */
  #isMended = false;
  /** Counts those that were begun. */
  #mends = 0;
  #mendBuild: Build | null = null;
  /** What was built for a range is on its way into the manifest. */
  #isMendCommitted = false;
  readonly #scrubber: Scrubber | null;
  #retry: Timer | null = null;
  #incoming: Incoming | null = null;
  /** Who waits for everything up to an index to be in tables. */
  #flushWaiters: { readonly index: Index; readonly done: Done }[] = [];
  #outOfSpace: Error | null = null;
  #failure: Error | null = null;
  #closed = false;
  #compactionPressure: WritePressure = 'none';
  #wasWritable = true;
  #flushes = 0;
  #flushedBytes = 0;
  #writtenBytes = 0;
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
    this.#tables = new TableSet(this.#options, files, opened, (error) => this.#fail(error));
    const { flushedIndex } = files.state;
    this.#appliedIndex = flushedIndex;
    this.#closedIndex = flushedIndex;
    this.#active = new Memtable(this.#options.memtableBytes);
    const host: CompactorHost = {
      isUrgent: this.#isUrgent,
      snapshots: () => this.#heldSnapshots(),
      onCompacted: () => this.#work(),
      onOutOfSpace: (error) => this.#noteOutOfSpace(error),
      onDamage: (table, error) => this.#noteDamage(table, error),
      onFailure: (error) => this.#fail(error),
    };
    this.#compactor = new Compactor(this.#options, this.#tables, host);
    const { clock, scrubBytesPerSecond: bytesPerSecond, logger } = this.#options;
    const onDiskError = (table: Table, error: unknown): void => {
      logger.log('warn', 'table-not-scrubbed', { path: table.path, why: toError(error).message });
    };
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
    return this.#appliedIndex;
  }

  /** False while too much waits for background work: who can wait should. */
  get writable(): boolean {
    return (
      this.#immutables.length < this.#options.immutableMemtablesMax && this.#compactionPressure !== 'stop'
    );
  }

  get pressure(): WritePressure {
    return this.writable ? this.#compactionPressure : 'stop';
  }

  /** Why background work waits for space, while it does: it goes on by itself when there is some. */
  get outOfSpace(): Error | null {
    return this.#outOfSpace;
  }

  /** Tables that are known to be damaged; only with quarantine. */
  get quarantined(): readonly Table[] {
    return this.#tables.version
      .placed()
      .map(({ table }) => table)
      .filter(({ damage }) => damage !== null);
  }

  /** What follows belongs to the log entry `index`, which is above `appliedIndex`; an entry may hold nothing. */
  beginEntry(index: Index): void {
    if (index <= this.#appliedIndex) {
      assert(false, 'entries are applied in order, each once', { index, applied: this.#appliedIndex });
    }
    if (this.#incoming !== null) assert(false, 'nothing is applied while a snapshot is installed', { index });
    const { memtableBytes } = this.#options;
    const { usedBytes } = this.#active;
    if (usedBytes >= memtableBytes && !this.#active.isEmpty) this.#rotate();
    else if (!this.#isBuilderPrepared && usedBytes >= PREPARE_AT * memtableBytes) this.#prepareBuilder();
    this.#appliedIndex = index;
  }

  /**
   * Takes back the log entry that was begun last, with all that it has written. Within the turn in which it was begun;
   * nothing may have been flushed since, nor a snapshot taken.
   */
  abandonEntry(): void {
    const index = this.#appliedIndex;
    assert(index > this.#closedIndex, 'only an entry that is open is taken back', { index });
    this.#active.removeEntry(index);
    this.#appliedIndex = index - 1;
  }

  /**
   * The bytes are copied. Between `beginEntry` and whatever returns to the event loop, or calls `flush` or
   * `takeSnapshot`.
   */
  put(key: Uint8Array, value: Uint8Array): void {
    this.#assertEntryIsOpen();
    this.#writtenBytes += key.length + value.length;
    this.#active.add(key, this.#appliedIndex, RecordKind.Put, value);
  }

  /** As `put`. */
  delete(key: Uint8Array): void {
    this.#assertEntryIsOpen();
    this.#writtenBytes += key.length;
    this.#active.add(key, this.#appliedIndex, RecordKind.Tombstone, EMPTY);
  }

  /** As `put`: deletes the keys `[gte, lt)` by a single record, however many there are. */
  deleteRange(gte: Uint8Array, lt: Uint8Array): void {
    this.#assertEntryIsOpen();
    if (compareBytes(gte, lt) < 0) this.#active.addRange(gte, lt, this.#appliedIndex);
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
    this.#closedIndex = this.#appliedIndex;
    this.#snapshots.push(this.#appliedIndex);
    return new ReadSnapshot(this.#snapshotSource, this.#appliedIndex);
  }

  /** See `approximate_bytes.ts`. */
  approximateBytes(gte: Uint8Array, lt: Uint8Array): number {
    return approximateBytes(this.#tables.version, gte, lt);
  }

  /**
   * `done` comes, later, when everything applied before the call is in tables and durable: `flushedIndex` is then no lower
   * than `appliedIndex` is now.
   */
  flush(done: Done): void {
    if (!this.#isUsable(done)) return;
    const covered = this.#immutables[this.#immutables.length - 1]?.coveredIndex ?? this.flushedIndex;
    if (this.#appliedIndex > covered) this.#rotate();
    const last = this.#immutables[this.#immutables.length - 1];
    if (last === undefined) this.#options.clock.later(() => done(null));
    else this.#flushWaiters.push({ index: last.coveredIndex, done });
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

  /** What the tables hold now, `flushedIndex` and no further. */
  snapshot(): StoreSnapshot {
    const version = this.#tables.version.hold();
    const release = (): void => version.release();
    const sources = iteratorSources([], version, {}, ALL_VISIBLE);
    const records = new LiveRecords(new StoreIterator(sources, {}, () => {}));
    return { index: this.flushedIndex, records, release };
  }

  /**
   * Replaces all that the store holds by `records`, the state as of the log entry `index`, which is not below
   * `appliedIndex`. `done` comes later, when that is durable; until then nothing must be applied, and the old state is
   * there, also after a crash. No snapshot may be held.
   */
  install(index: Index, records: Cursor, done: Done): void {
    if (!this.#isUsable(done)) return;
    assert(this.#incoming === null, 'one snapshot is installed at a time', { index });
    assert(this.#snapshots.length === 0, 'nobody reads what a raft snapshot replaces', { index });
    assert(index >= this.#appliedIndex, 'a snapshot does not go back', {
      index,
      applied: this.#appliedIndex,
    });
    this.#incoming = { index, records, done };
    this.#compactor.pause();
    this.#work();
  }

  /**
   * A reader of this store has met this. With quarantine the table is put aside from now on.
   * @returns false when it is about no table of this store.
   */
  noteDamage(error: CorruptionError): boolean {
    const found = this.#tables.version.placed().find(({ table }) => table.path === error.path);
    if (found === undefined) return false;
    if (found.table.damage === null) this.#noteDamage(found.table, error);
    return true;
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
    const index = this.#appliedIndex;
    assert(!this.#isMended, 'one range is mended at a time', { index });
    this.#isMended = true;
    this.#compactor.pause();
    const number = ++this.#mends;
    const place = (): void => {
      if (!this.#isMended || this.#mends !== number) return;
      done({ ok: true, value: { index, run: this.#tables.nextNumber() } });
    };
    const covered = this.#immutables[this.#immutables.length - 1]?.coveredIndex ?? this.flushedIndex;
    if (index > covered) this.#rotate();
    // Whoever waits for a flush is told before the next one begins: the number is older than what that will be given.
    if (this.#immutables.length === 0) place();
    else this.#flushWaiters.push({ index, done: (error) => (error === null ? place() : failed(error)) });
  }

  /**
   * Replaces all that tables up to `place` say of the keys `[low, end)` by `records`, the live keys of the range as of the log
   * entry `place.index`. `done` comes later, when that is durable; tables that are damaged and hold nothing else are
   * gone then. What was applied behind that entry stands before it. No snapshot of before that entry may be held.
   */
  mend({ low, end }: Borders, place: MendPlace, records: Cursor, done: Done): void {
    if (!this.#isUsable(done)) return;
    const { index, run } = place;
    assert(this.#isMended && this.#mendBuild === null, 'a range is mended where there is a place', { index });
    assert(this.#incoming === null, 'nothing is mended that a snapshot replaces', { index });
    const retention = new Retention({
      snapshots: [],
      tombstones: [{ gte: low, lt: end, sequence: index }],
      below: ANYTHING_BELOW,
      expiry: this.#noExpiry,
    });
    const job = { nextNumber: this.#tables.nextNumber, isUrgent: this.#isUrgent };
    const input = { records: new RecordsAt(records, index), retention };
    const build = new SteppedRun(this.#options, job, input, (outcome) => {
      this.#mendBuild = null;
      if (!outcome.ok) {
        build.discard();
        done(outcome.error);
        return;
      }
      assert(
        this.#snapshots.every((held) => held >= index),
        'nobody reads what is taken out',
        { index },
      );
      // One that is newer than the place holds what the records do not: if it is damaged as well, it waits for its own turn.
      const removed = this.quarantined.filter((table) => table.number < run && isWithin(table, low, end));
      this.#isMendCommitted = true;
      this.#tables.change({
        flushedIndex: null,
        built: outcome.value,
        level: 0,
        run,
        removed,
        moved: [],
        onDurable: () => {
          this.#isMendCommitted = false;
          done(null);
          this.#resumeCompactor();
          this.#work();
        },
      });
    });
    this.#mendBuild = build;
  }

  /** What began with `beginMend` is over, well or not; what was being built is given up. */
  endMend(): void {
    if (!this.#isMended) return;
    this.#isMended = false;
    this.#mendBuild?.stop();
    this.#mendBuild?.discard();
    this.#mendBuild = null;
    this.#resumeCompactor();
  }

  /** Not as long as a run may still come between those that there are: what is merged across its place would change sides. */
  #resumeCompactor(): void {
    if (this.#isMended || this.#isMendCommitted || this.#closed || this.#incoming !== null) return;
    this.#compactor.resume();
  }

  /** The compaction under way; null: none is. */
  get compaction(): CompactionProgress | null {
    return this.#compactor.progress;
  }

  statistics(): StoreStatistics {
    const { merges, moves, mergedBytes } = this.#compactor;
    return statisticsOf(
      [this.#active, ...this.#immutables.map(({ memtable }) => memtable)],
      this.#tables.version,
      this.#options,
      {
        writtenBytes: this.#writtenBytes,
        flushes: this.#flushes,
        flushedBytes: this.#flushedBytes,
        merges,
        moves,
        mergedBytes,
        backgroundJobs: (this.#isFlushing ? 1 : 0) + (this.#compactor.isBusy ? 1 : 0),
        pressure: this.pressure,
        snapshots: this.#snapshots.length,
        scrubbedBytes: this.#scrubber?.bytes ?? 0,
        scrubs: this.#scrubber?.passes ?? 0,
        tableReads: this.#reads.reads,
        filterNegatives: this.#reads.filterNegatives,
        filterTruePositives: this.#reads.filterTruePositives,
        filterFalsePositives: this.#reads.filterFalsePositives,
        isFlushing: this.#isFlushing,
        compaction: this.compaction,
      },
    );
  }

  /** Stops background work and closes the files; does not flush. Who waits is told so. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#build?.stop();
    this.#mendBuild?.stop();
    this.#retry?.cancel();
    this.#scrubber?.stop();
    const error = new EnvelopeError('CLOSED', 'the store was closed');
    this.#compactor.stop(error);
    this.#tables.close();
    this.#tellWaiters(error);
  }

  #findAt(key: Uint8Array, visible: Index): ValuePlace | null {
    const place = this.#place;
    const active = findInMemtable(this.#active, key, visible, place);
    if (active !== 'nothing') return active === 'value' ? place : null;
    for (let at = this.#immutables.length - 1; at >= 0; at--) {
      const found = findInMemtable(this.#immutables[at].memtable, key, visible, place);
      if (found !== 'nothing') return found === 'value' ? place : null;
    }
    return findInRuns(this.#tables.version.runs, key, visible, this.#reads, place) ? place : null;
  }

  #iteratorAt(range: IteratorRange, visible: Index): StoreIterator {
    const memtables = [this.#active];
    for (let at = this.#immutables.length - 1; at >= 0; at--) memtables.push(this.#immutables[at].memtable);
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

  /** A write that came after its entry was given to a flush would be lost by a crash: replaying starts behind the entry. */
  #assertEntryIsOpen(): void {
    if (this.#appliedIndex <= this.#closedIndex) {
      assert(false, 'an entry is written before it is flushed', { index: this.#appliedIndex });
    }
  }

  /** Of records that come from elsewhere: all of them are kept. */
  get #noExpiry(): Expiry | null {
    const rule = this.#options.expiry;
    return rule === null ? null : { rule, timeMs: 0 };
  }

  #isUsable(done: Done): boolean {
    const error = this.#failure ?? (this.#closed ? new EnvelopeError('CLOSED', 'the store is closed') : null);
    if (error !== null) this.#options.clock.later(() => done(error));
    return error === null;
  }

  #rotate(): void {
    this.#closedIndex = this.#appliedIndex;
    this.#immutables.push({ memtable: this.#active, coveredIndex: this.#appliedIndex });
    if (this.#spare !== null) sometimes('a memtable is used again');
    this.#active = this.#spare ?? new Memtable(this.#options.memtableBytes);
    this.#spare = null;
    this.#work();
  }

  /** It is in tables now. Kept for the next only where that is filling already: a store that rests keeps no memory. */
  #retire(memtable: Memtable): void {
    if (this.#active.usedBytes < SPARE_AT * this.#options.memtableBytes) return;
    if (!memtable.isReusable) {
      rarely('a memtable that was flushed is still read, or has grown');
      return;
    }
    memtable.clear();
    this.#spare = memtable;
  }

  #prepareBuilder(): void {
    this.#isBuilderPrepared = true;
    this.#options.runBuilder?.prepare();
  }

  /** Starts what is to be done next, if nothing is under way: memtables oldest first, beside one compaction. */
  #work(): void {
    if (this.#closed || this.#failure !== null) return;
    if (!this.#isFlushing) {
      const [oldest] = this.#immutables;
      if (this.#incoming === null) {
        if (oldest !== undefined) this.#flushOne(oldest);
      } else if (!this.#compactor.isBusy && !this.#isMendCommitted) this.#replaceAll(this.#incoming);
    }
    this.#compactor.work();
    this.#reviewPressure();
  }

  #flushOne({ memtable, coveredIndex }: Immutable): void {
    this.#isFlushing = true;
    if (memtable.isEmpty) {
      // Entries without writes: only the index moves.
      sometimes('a flush has nothing to write');
      this.#commitFlush([], coveredIndex);
      return;
    }
    const onBuilt = (readers: readonly TableReader[]): void => this.#commitFlush(readers, coveredIndex);
    const job = {
      source: memtable,
      below: this.#tables.version.runs,
      snapshots: this.#heldSnapshots(),
      timeMs: 0,
      nextNumber: this.#tables.nextNumber,
      isUrgent: this.#isUrgent,
    };
    this.#build = startBuild(this.#options, job, (outcome) => this.#onBuilt(outcome, onBuilt));
  }

  #commitFlush(built: readonly TableReader[], coveredIndex: Index): void {
    this.#tables.change({
      flushedIndex: coveredIndex,
      built,
      level: 0,
      run: built[0]?.number ?? 0,
      removed: [],
      moved: [],
      onDurable: () => {
        this.#isFlushing = false;
        this.#outOfSpace = null;
        this.#flushes++;
        for (const { sizeBytes } of built) this.#flushedBytes += sizeBytes;
        const flushed = this.#immutables.shift();
        if (flushed !== undefined) this.#retire(flushed.memtable);
        this.#tellFlushed();
        this.#work();
      },
    });
  }

  #tellFlushed(): void {
    const { flushedIndex } = this;
    const told = this.#flushWaiters.filter(({ index }) => index <= flushedIndex);
    this.#flushWaiters = this.#flushWaiters.filter(({ index }) => index > flushedIndex);
    for (const { done } of told) done(null);
  }

  #replaceAll({ index, records, done }: Incoming): void {
    this.#isFlushing = true;
    const retention = new Retention({
      snapshots: [],
      tombstones: [],
      below: NOTHING_BELOW,
      expiry: this.#noExpiry,
    });
    const onBuilt = (built: readonly TableReader[]): void => {
      assert(this.#appliedIndex <= index, 'nothing is applied while a snapshot is installed', { index });
      const placed = this.#tables.version.placed();
      this.#tables.change({
        flushedIndex: index,
        built,
        level: this.#options.compaction === 'levelled' ? 1 : 0,
        run: built[0]?.number ?? 0,
        removed: placed.map(({ table }) => table),
        moved: [],
        onDurable: () => {
          this.#isFlushing = false;
          this.#incoming = null;
          this.#active = new Memtable(this.#options.memtableBytes);
          this.#immutables = [];
          this.#appliedIndex = index;
          this.#closedIndex = index;
          this.#tellFlushed();
          done(null);
          this.#compactor.resume();
          this.#reviewPressure();
          this.onWritable();
        },
      });
    };
    const job = { nextNumber: this.#tables.nextNumber, isUrgent: this.#isUrgent };
    const input = { records, retention };
    this.#build = new SteppedRun(this.#options, job, input, (outcome) => this.#onBuilt(outcome, onBuilt));
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
        this.#noteOutOfSpace(outcome.error);
      }
      this.#retry = this.#options.clock.after(this.#options.outOfSpaceRetryMs, () => {
        this.#isFlushing = false;
        this.#work();
      });
    } else this.#fail(outcome.error);
  }

  /** What has been written is not what is read back. With quarantine it is written once more: nothing rests on it yet. */
  #isOfNewTable(error: Error): boolean {
    if (this.#options.damagedTables !== 'quarantine' || !(error instanceof CorruptionError)) return false;
    const { directory } = this.#options;
    return error.path.startsWith(`${directory}/table-`);
  }

  /** Writers wait for what is built; so does everybody while a snapshot is installed. */
  readonly #isUrgent = (): boolean => this.pressure !== 'none' || this.#incoming !== null;

  #noteOutOfSpace(error: Error): void {
    if (this.#outOfSpace === null) {
      this.#options.logger.log('warn', 'store-out-of-space', { why: error.message });
    }
    this.#outOfSpace = error;
  }

  #noteDamage(table: Table, error: CorruptionError): void {
    if (this.#options.damagedTables === 'quarantine') table.quarantine(error);
    rarely('a damaged table is put aside');
    this.#options.logger.log('error', 'table-damaged', { path: table.path, why: error.message });
    this.onDamage(table, error);
  }

  /** Nobody is held back by what cannot become less: runs that nothing compacts. */
  #reviewPressure(): void {
    const { slowAtRuns, stopAtRuns, slowAtDebtBytes, stopAtDebtBytes, mergeAtTables } = this.#options;
    const { version } = this.#tables;
    this.#compactionPressure = 'none';
    if (this.#compactor.isBusy) {
      const runs = pendingRuns(version, this.#options);
      const debt = debtBytes(version, this.#options);
      if (runs >= Math.max(stopAtRuns, 2 * mergeAtTables) || debt >= stopAtDebtBytes) {
        this.#compactionPressure = 'stop';
        rarely('writes wait for a compaction');
      } else if (runs >= Math.max(slowAtRuns, mergeAtTables + 1) || debt >= slowAtDebtBytes) {
        this.#compactionPressure = 'slow';
      }
    }
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
    this.#build?.stop();
    this.#mendBuild?.stop();
    this.#compactor.stop(error);
    this.#tellWaiters(error);
    this.onFailure(error);
  }

  #tellWaiters(error: Error): void {
    const waiters = this.#flushWaiters.map(({ done }) => done);
    if (this.#incoming !== null) waiters.push(this.#incoming.done);
    this.#incoming = null;
    this.#flushWaiters = [];
    for (const done of waiters) done(error);
  }
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
