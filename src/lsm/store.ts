/**
 * The store: a log-structured merge tree (O'Neil et al., 1996). Writes go to a memtable; a full one is flushed to a
 * sorted table in the background; when there are many tables they are merged into one.
 *
 * It has no log of its own. The sequence number of a write is the index of the log entry it came from, `flushedIndex`
 * says how far the tables cover that log, and after a crash the caller applies again what follows. An entry is never
 * torn apart between memtables, so a flush covers whole entries.
 */

import { assert } from '../base/assert.ts';
import { EnvelopeError, type Outcome } from '../base/errors.ts';
import { sometimes } from '../base/rare.ts';
import type { Index } from '../log/entry.ts';
import { hashKey } from './bloom_filter.ts';
import type { ManifestWriter } from './manifest.ts';
import { Memtable, MemtableCursor } from './memtable.ts';
import { MergeCursor } from './merge_cursor.ts';
import { type Cursor, RecordKind } from './record.ts';
import { type OpenedFiles, readState, renewManifest, tablePath } from './store_files.ts';
import { type IteratorRange, StoreIterator } from './store_iterator.ts';
import { DEFAULTS, type StoreOptions, type StoreStatistics } from './store_options.ts';
import { TableBuild } from './table_build.ts';
import { TableCursor } from './table_cursor.ts';
import { openTable, type TableReader } from './table_reader.ts';
import { Table, Version } from './version.ts';

export type { StoreOptions, StoreStatistics } from './store_options.ts';

const EMPTY = new Uint8Array(0);

type Done = (error: Error | null) => void;

/** A full memtable, waiting for its flush. */
interface Immutable {
  readonly memtable: Memtable;
  /** The log index that is covered once it is flushed. */
  readonly coveredIndex: Index;
}

/** What the tables held at one moment: the effects of all log entries up to `index`. */
export interface StoreSnapshot {
  readonly index: Index;
  /** The newest version of each key, ascending. */
  readonly records: Cursor;
  /** Lets go of the tables; the records must not be used any more. */
  readonly release: () => void;
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
  readonly #options: StoreOptions & typeof DEFAULTS;
  readonly #manifest: ManifestWriter;
  #active: Memtable;
  /** From old to new. */
  #immutables: Immutable[] = [];
  #version: Version;
  /** Tables that a merge has replaced: their files go when nobody reads them any more. */
  readonly #obsolete = new Set<number>();
  #nextFile: number;
  #flushedIndex: Index;
  #appliedIndex: Index;
  /** What was applied up to here has left the active memtable: no write may be added to it. */
  #coveredIndex: Index;
  #build: TableBuild | null = null;
  #isBusy = false;
  #mergeIsWanted = false;
  #incoming: Incoming | null = null;
  /** Who waits for everything up to an index to be in tables. */
  #flushWaiters: { readonly index: Index; readonly done: Done }[] = [];
  #mergeWaiters: Done[] = [];
  #failure: Error | null = null;
  #closed = false;
  #flushes = 0;
  #merges = 0;

  /**
   * Recovers a store, or makes a new one. `done` gets CorruptionError when a file is damaged or missing, DiskError when
   * the disk fails.
   */
  static open(options: StoreOptions, done: (outcome: Outcome<Store>) => void): void {
    const { disk, directory, clock } = options;
    const readers: TableReader[] = [];
    const fail = (error: unknown): void => {
      for (const reader of readers) reader.close();
      clock.later(() => done({ ok: false, error: toError(error) }));
    };
    try {
      disk.makeDirectory(directory);
      const state = readState(disk, directory);
      for (const number of state.tables) readers.push(openTable(disk, tablePath(directory, number), number));
      renewManifest(disk, directory, state, (outcome) => {
        if (outcome.ok) done({ ok: true, value: new Store(options, outcome.value, readers) });
        else fail(outcome.error);
      });
    } catch (error) {
      fail(error);
    }
  }

  /** @param readers Of all tables, from old to new. */
  private constructor(options: StoreOptions, files: OpenedFiles, readers: readonly TableReader[]) {
    this.#options = { ...DEFAULTS, ...options };
    this.#manifest = files.manifest;
    this.#nextFile = files.state.nextFile;
    this.#flushedIndex = files.state.flushedIndex;
    this.#appliedIndex = files.state.flushedIndex;
    this.#coveredIndex = files.state.flushedIndex;
    this.#active = new Memtable(this.#options.memtableBytes);
    const tables = readers.map((reader) => new Table(reader, this.#onTableUnused));
    this.#version = new Version(tables.reverse());
  }

  /** Tables cover the log up to here, durably. */
  get flushedIndex(): Index {
    return this.#flushedIndex;
  }

  /** The last entry that was begun. */
  get appliedIndex(): Index {
    return this.#appliedIndex;
  }

  /** False while too many memtables wait for their flush: who can wait should. */
  get writable(): boolean {
    return this.#immutables.length < this.#options.immutableMemtablesMax;
  }

  /** What follows belongs to the log entry `index`, which is above `appliedIndex`; an entry may hold nothing. */
  beginEntry(index: Index): void {
    if (index <= this.#appliedIndex) {
      assert(false, 'entries are applied in order, each once', { index, applied: this.#appliedIndex });
    }
    if (this.#active.usedBytes >= this.#options.memtableBytes && !this.#active.isEmpty) this.#rotate();
    this.#appliedIndex = index;
  }

  /** The bytes are copied. Between `beginEntry` and whatever returns to the event loop, or calls `flush`. */
  put(key: Uint8Array, value: Uint8Array): void {
    this.#assertEntryIsOpen();
    this.#active.add(key, this.#appliedIndex, RecordKind.Put, value);
  }

  /** As `put`. */
  delete(key: Uint8Array): void {
    this.#assertEntryIsOpen();
    this.#active.add(key, this.#appliedIndex, RecordKind.Tombstone, EMPTY);
  }

  /**
   * The value, as a view that is valid until control returns to the event loop; null when there is no such key.
   * @throws CorruptionError, DiskError when it cannot be told.
   */
  get(key: Uint8Array): Uint8Array | null {
    const active = getFrom(this.#active, key);
    if (active !== undefined) return active;
    for (let at = this.#immutables.length - 1; at >= 0; at--) {
      const found = getFrom(this.#immutables[at].memtable, key);
      if (found !== undefined) return found;
    }
    const hash = hashKey(key);
    for (const { reader } of this.#version.tables) {
      const record = reader.find(key, hash);
      if (record !== null) return record.kind === RecordKind.Put ? record.value : null;
    }
    return null;
  }

  has(key: Uint8Array): boolean {
    return this.get(key) !== null;
  }

  /**
   * Live keys as of now; of a log entry that is being applied, what was written so far. Damage shows when it is met. Close
   * it: it holds files.
   */
  iterator(range: IteratorRange = {}): StoreIterator {
    const version = this.#version.hold();
    const sources: Cursor[] = [new MemtableCursor(this.#active)];
    for (let at = this.#immutables.length - 1; at >= 0; at--) {
      sources.push(new MemtableCursor(this.#immutables[at].memtable));
    }
    for (const { reader } of version.tables) sources.push(new TableCursor(reader));
    return new StoreIterator(new MergeCursor(sources), range, () => version.release());
  }

  /**
   * `done` comes, later, when everything applied before the call is in tables and durable: `flushedIndex` is then no lower
   * than `appliedIndex` is now.
   */
  flush(done: Done): void {
    if (!this.#isUsable(done)) return;
    if (this.#appliedIndex > this.#coveredIndex) this.#rotate();
    const last = this.#immutables[this.#immutables.length - 1];
    if (last === undefined) this.#options.clock.later(() => done(null));
    else this.#flushWaiters.push({ index: last.coveredIndex, done });
  }

  /** Flushes, then merges all tables into one: what is deleted or superseded is gone. `done` comes later. */
  merge(done: Done): void {
    if (!this.#isUsable(done)) return;
    this.flush((error) => {
      if (error !== null) {
        done(error);
        return;
      }
      if (!this.#isUsable(done)) return;
      this.#mergeWaiters.push(done);
      this.#mergeIsWanted = true;
      this.#work();
    });
  }

  /** What the tables hold now, `flushedIndex` and no further. */
  snapshot(): StoreSnapshot {
    const version = this.#version.hold();
    const records = new MergeCursor(version.tables.map(({ reader }) => new TableCursor(reader)));
    return { index: this.#flushedIndex, records, release: () => version.release() };
  }

  /**
   * Replaces all that the store holds by `records`, the state as of the log entry `index`, which is above `appliedIndex`.
   * `done` comes later, when that is durable; until then nothing must be applied, and the old state is there, also after a
   * crash.
   */
  install(index: Index, records: Cursor, done: Done): void {
    if (!this.#isUsable(done)) return;
    assert(this.#incoming === null, 'one snapshot is installed at a time', { index });
    assert(index > this.#appliedIndex, 'a snapshot brings something new', {
      index,
      applied: this.#appliedIndex,
    });
    this.#incoming = { index, records, done };
    this.#work();
  }

  statistics(): StoreStatistics {
    let tableBytes = 0;
    let entries = this.#active.entries;
    let memtableBytes = this.#active.usedBytes;
    for (const { memtable } of this.#immutables) {
      entries += memtable.entries;
      memtableBytes += memtable.usedBytes;
    }
    for (const { reader } of this.#version.tables) {
      tableBytes += reader.sizeBytes;
      entries += reader.properties.records;
    }
    const { length: tables } = this.#version.tables;
    return { tables, tableBytes, memtableBytes, flushes: this.#flushes, merges: this.#merges, entries };
  }

  /** Stops background work and closes the files; does not flush. Who waits is told so. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#build?.stop();
    this.#manifest.close();
    this.#version.release();
    this.#tellWaiters(new EnvelopeError('CLOSED', 'the store was closed'));
  }

  /** A write that came after its entry was given to a flush would be lost by a crash: replaying starts behind the entry. */
  #assertEntryIsOpen(): void {
    if (this.#appliedIndex <= this.#coveredIndex) {
      assert(false, 'an entry is written before it is flushed', { index: this.#appliedIndex });
    }
  }

  #isUsable(done: Done): boolean {
    const error = this.#failure ?? (this.#closed ? new EnvelopeError('CLOSED', 'the store is closed') : null);
    if (error !== null) this.#options.clock.later(() => done(error));
    return error === null;
  }

  #rotate(): void {
    this.#coveredIndex = this.#appliedIndex;
    this.#immutables.push({ memtable: this.#active, coveredIndex: this.#coveredIndex });
    this.#active = new Memtable(this.#options.memtableBytes);
    this.#work();
  }

  /** Starts what is to be done next, if nothing is under way: flushes first, oldest first. */
  #work(): void {
    if (this.#isBusy || this.#closed || this.#failure !== null) return;
    const { tables } = this.#version;
    const [oldest] = this.#immutables;
    if (this.#incoming !== null) this.#replaceAll(this.#incoming);
    else if (oldest !== undefined) this.#flushOne(oldest);
    else if (this.#mergeIsWanted || tables.length >= this.#options.mergeAtTables) this.#mergeAll(tables);
  }

  #flushOne({ memtable, coveredIndex }: Immutable): void {
    if (memtable.isEmpty) {
      // Entries without writes: only the index moves.
      sometimes('a flush has nothing to write');
      this.#isBusy = true;
      this.#commit(null, { flushedIndex: coveredIndex, removed: [] }, () =>
        this.#onFlushed(null, coveredIndex),
      );
      return;
    }
    this.#start({
      records: new MergeCursor([new MemtableCursor(memtable)]),
      // When nothing older is left, a tombstone has nothing to hide.
      tombstones: this.#version.tables.length === 0 ? 'drop' : 'keep',
      onBuilt: (reader) => {
        this.#commit(reader, { flushedIndex: coveredIndex, removed: [] }, () =>
          this.#onFlushed(reader, coveredIndex),
        );
      },
    });
  }

  #onFlushed(reader: TableReader | null, coveredIndex: Index): void {
    this.#flushes++;
    this.#immutables.shift();
    this.#flushedIndex = coveredIndex;
    if (reader !== null) this.#install([new Table(reader, this.#onTableUnused), ...this.#version.tables]);
    const told = this.#flushWaiters.filter(({ index }) => index <= this.#flushedIndex);
    this.#flushWaiters = this.#flushWaiters.filter(({ index }) => index > this.#flushedIndex);
    for (const { done } of told) done(null);
    if (this.#immutables.length === this.#options.immutableMemtablesMax - 1) this.onWritable();
  }

  #mergeAll(tables: readonly Table[]): void {
    this.#mergeIsWanted = false;
    const waiters = this.#mergeWaiters;
    this.#mergeWaiters = [];
    const [only] = tables;
    if (only === undefined || (tables.length === 1 && only.reader.properties.tombstones === 0)) {
      for (const done of waiters) done(null);
      return;
    }
    sometimes('tables are merged');
    const removed = tables.map((table) => table.number);
    this.#mergeWaiters = waiters;
    this.#start({
      records: new MergeCursor(tables.map(({ reader }) => new TableCursor(reader))),
      tombstones: 'drop',
      onBuilt: (reader) => {
        this.#commit(reader, { flushedIndex: this.#flushedIndex, removed }, () => {
          this.#merges++;
          for (const replaced of removed) this.#obsolete.add(replaced);
          this.#install(reader === null ? [] : [new Table(reader, this.#onTableUnused)]);
          this.#mergeWaiters = this.#mergeWaiters.filter((done) => !waiters.includes(done));
          for (const done of waiters) done(null);
        });
      },
    });
  }

  #replaceAll({ index, records, done }: Incoming): void {
    this.#start({
      records,
      tombstones: 'drop',
      onBuilt: (reader) => {
        assert(this.#appliedIndex < index, 'nothing is applied while a snapshot is installed', { index });
        const removed = this.#version.tables.map((table) => table.number);
        this.#commit(reader, { flushedIndex: index, removed }, () => {
          for (const replaced of removed) this.#obsolete.add(replaced);
          this.#incoming = null;
          this.#active = new Memtable(this.#options.memtableBytes);
          this.#immutables = [];
          this.#flushedIndex = index;
          this.#appliedIndex = index;
          this.#coveredIndex = index;
          this.#install(reader === null ? [] : [new Table(reader, this.#onTableUnused)]);
          const waiters = this.#flushWaiters;
          this.#flushWaiters = [];
          for (const { done: flushed } of waiters) flushed(null);
          done(null);
          this.onWritable();
        });
      },
    });
  }

  #start(job: {
    readonly records: Cursor;
    readonly tombstones: 'keep' | 'drop';
    readonly onBuilt: (reader: TableReader | null) => void;
  }): void {
    this.#isBusy = true;
    const { records, tombstones, onBuilt } = job;
    const number = this.#nextFile++;
    const path = tablePath(this.#options.directory, number);
    this.#build = new TableBuild({ ...this.#options, path, number, records, tombstones }, (outcome) => {
      this.#build = null;
      if (outcome.ok) onBuilt(outcome.value);
      else this.#fail(outcome.error);
    });
  }

  /** `built`, null when no table came of the job, is the store's own once the edit is durable. */
  #commit(
    built: TableReader | null,
    edit: { readonly flushedIndex: Index; readonly removed: readonly number[] },
    onDurable: () => void,
  ): void {
    const added = built === null ? [] : [built.number];
    this.#manifest.append({ ...edit, added, nextFile: this.#nextFile }, (error) => {
      if (this.#closed || error !== null) {
        built?.close();
        if (error !== null) this.#fail(error);
        return;
      }
      this.#isBusy = false;
      onDurable();
      this.#work();
    });
  }

  #install(tables: readonly Table[]): void {
    const before = this.#version;
    this.#version = new Version(tables);
    before.release();
  }

  readonly #onTableUnused = (table: Table): void => {
    table.reader.close();
    if (!this.#obsolete.delete(table.number) || this.#closed) return;
    sometimes('a replaced table is removed');
    try {
      this.#options.disk.remove(table.reader.path);
    } catch (error) {
      // The next open removes it.
      this.#options.logger.log('warn', 'table-not-removed', {
        path: table.reader.path,
        why: toError(error).message,
      });
    }
  };

  #fail(error: Error): void {
    if (this.#failure !== null || this.#closed) return;
    this.#failure = error;
    this.#options.logger.log('error', 'store-failed', {
      directory: this.#options.directory,
      why: error.message,
    });
    this.#tellWaiters(error);
    this.onFailure(error);
  }

  #tellWaiters(error: Error): void {
    const waiters = [...this.#flushWaiters.map(({ done }) => done), ...this.#mergeWaiters];
    if (this.#incoming !== null) waiters.push(this.#incoming.done);
    this.#incoming = null;
    this.#flushWaiters = [];
    this.#mergeWaiters = [];
    for (const done of waiters) done(error);
  }
}

/** Undefined: the memtable says nothing of the key; null: it is deleted. */
function getFrom(memtable: Memtable, key: Uint8Array): Uint8Array | null | undefined {
  const node = memtable.find(key);
  if (node === 0) return undefined;
  return memtable.kindAt(node) === RecordKind.Put ? memtable.valueAt(node) : null;
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
