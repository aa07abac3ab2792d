/**
 * The tables in force and the manifest that names them. Changes are durable before anybody sees them, one after another;
 * files that are not needed any more are removed when their last reader has let go.
 *
 * When the disk has no space for an edit the change waits and is tried again; any other error is final.
 */
import { assert } from '../base/assert.ts';
import { CorruptionError, DiskError } from '../base/errors.ts';
import { rarely, sometimes } from '../base/rare.ts';
import { compareBytes } from '../codec/bytes.ts';
import type { Clock, Timer } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { Index } from '../log/entry.ts';
import type { ManifestState, ManifestWriter } from './manifest.ts';
import { unknownCompression } from './packed_block.ts';
import { type OpenedFiles, tablePath } from './store_files.ts';
import type { StoreSettings } from './store_options.ts';
import { Table, type TableIdentity } from './table.ts';
import { openTable, type TableReader } from './table_reader.ts';
import { type Placed, Version } from './version.ts';

export interface TableSetOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly outOfSpaceRetryMs: number;
}

export interface VersionChange {
  /** The log is covered up to here; null: as far as before. */
  readonly flushedIndex: Index | null;
  /** New tables of one run; the set takes them over, also when the change fails. */
  readonly built: readonly TableReader[];
  readonly level: number;
  readonly run: number;
  readonly removed: readonly Table[];
  /** Where tables of `removed` stand from now on. */
  readonly moved: readonly Table[];
  /** The change is durable and in force. */
  readonly onDurable: () => void;
}

/** A table of the manifest, opened or found damaged. */
export interface OpenedTable {
  readonly level: number;
  readonly run: number;
  readonly identity: TableIdentity;
  readonly result: TableReader | CorruptionError;
}

export interface TableSetHost {
  /** A change waits for space. */
  onOutOfSpace(error: Error): void;
  /** A change has failed, for good. */
  onFailure(error: Error): void;
}

export function isOutOfSpace(error: unknown): error is DiskError {
  return error instanceof DiskError && error.errno === 'ENOSPC';
}

export class TableSet {
  readonly #options: TableSetOptions;
  readonly #manifest: ManifestWriter;
  readonly #host: TableSetHost;
  #version: Version;
  #nextFile: number;
  #flushedIndex: Index;
  /** The first is under way. */
  readonly #changes: VersionChange[] = [];
  /** Tables that are in no version from now on: their files go when nobody reads them any more. */
  readonly #obsolete = new Set<number>();
  #retry: Timer | null = null;
  #closed = false;
  /** Why the first change waits for space; null: it does not. */
  outOfSpace: Error | null = null;

  constructor(
    options: TableSetOptions,
    files: OpenedFiles,
    opened: readonly OpenedTable[],
    host: TableSetHost,
  ) {
    this.#options = options;
    this.#manifest = files.manifest;
    this.#host = host;
    this.#nextFile = files.state.nextFile;
    this.#flushedIndex = files.state.flushedIndex;
    this.#version = Version.of(
      opened.map(({ level, run, identity, result }) => {
        return { level, run, table: new Table(identity, result, this.#onTableUnused) };
      }),
    );
  }

  get version(): Version {
    return this.#version;
  }

  /** What tables cover of the log, durably. */
  get flushedIndex(): Index {
    return this.#flushedIndex;
  }

  /** A number that no file has had. */
  readonly nextNumber = (): number => this.#nextFile++;

  change(change: VersionChange): void {
    this.#changes.push(change);
    if (this.#changes.length === 1) this.#append(change);
  }

  /** Closes the files; what has not become durable is given up. */
  close(): void {
    this.#closed = true;
    this.#retry?.cancel();
    this.#manifest.close();
    for (const { built } of this.#changes) for (const reader of built) reader.close();
    this.#version.release();
  }

  #append({ built, level, run, flushedIndex, removed, moved }: VersionChange): void {
    const added = [...built, ...moved].map(({ number, low, end }) => ({ number, level, run, low, end }));
    const edit = {
      flushedIndex: flushedIndex ?? this.#flushedIndex,
      nextFile: this.#nextFile,
      added,
      removed: removed.map(({ number }) => number),
    };
    this.#manifest.append(edit, this.#onAppended);
  }

  readonly #onAppended = (error: Error | null): void => {
    if (this.#closed) return;
    const { clock, outOfSpaceRetryMs } = this.#options;
    if (isOutOfSpace(error)) {
      rarely('there is no space for an edit of the manifest');
      this.#host.onOutOfSpace(error);
      this.outOfSpace = error;
      this.#retry = clock.after(outOfSpaceRetryMs, () => this.#manifest.resume(this.#onAppended));
      return;
    }
    if (error !== null) {
      this.#host.onFailure(error);
      return;
    }
    this.outOfSpace = null;
    const [change] = this.#changes;
    this.#changes.shift();
    assert(change !== undefined, 'an edit belongs to a change');
    this.#install(change);
    const [next] = this.#changes;
    if (next !== undefined) this.#append(next);
    change.onDurable();
  };

  #install({ flushedIndex, built, level, run, removed, moved }: VersionChange): void {
    const gone = new Set(removed);
    const placed: Placed[] = this.#version.placed().filter(({ table }) => !gone.has(table));
    for (const reader of built) {
      placed.push({ level, run, table: new Table(reader, reader, this.#onTableUnused) });
    }
    for (const table of moved) {
      gone.delete(table);
      placed.push({ level, run, table });
    }
    for (const table of gone) this.#obsolete.add(table.number);
    this.#flushedIndex = flushedIndex ?? this.#flushedIndex;
    const before = this.#version;
    this.#version = Version.of(placed);
    before.release();
  }

  readonly #onTableUnused = (table: Table): void => {
    table.closeReader();
    if (!this.#obsolete.delete(table.number) || this.#closed) return;
    sometimes('a replaced table is removed');
    try {
      this.#options.disk.remove(table.path);
    } catch (error) {
      // The next open removes it.
      const why = error instanceof Error ? error.message : String(error);
      this.#options.logger.log('warn', 'table-not-removed', { path: table.path, why });
    }
  };
}

/**
 * Opens all tables of a state. With quarantine a damaged one is told as such.
 * @throws CorruptionError, DiskError, having closed what it has opened.
 */
export function openTables(settings: StoreSettings, state: ManifestState): OpenedTable[] {
  const opened: OpenedTable[] = [];
  try {
    for (const { number, level, run, low, end } of state.tables) {
      const identity = { number, path: tablePath(settings.directory, number), low, end };
      opened.push({ level, run, identity, result: openAs(settings, identity) });
    }
    return opened;
  } catch (error) {
    closeOpened(opened);
    throw error;
  }
}

export function closeOpened(opened: readonly OpenedTable[]): void {
  for (const { result } of opened) if (!(result instanceof Error)) result.close();
}

function openAs(
  { disk, damagedTables, blockCache, compressions }: StoreSettings,
  { number, path, low, end }: TableIdentity,
): TableReader | CorruptionError {
  try {
    const unreadable = damagedTables === 'quarantine' ? 'damage' : 'error';
    const reader = openTable(disk, path, number, { cache: blockCache, compressions, unreadable });
    if (!reader.isReadable) {
      reader.close();
      throw unknownCompression(path);
    }
    if (compareBytes(reader.low, low) === 0 && compareBytes(reader.end, end) === 0) return reader;
    reader.close();
    throw new CorruptionError(path, 0, 'table and manifest name different keys');
  } catch (error) {
    if (damagedTables === 'quarantine' && error instanceof CorruptionError) return error;
    throw error;
  }
}
