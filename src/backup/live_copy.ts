/**
 * Copies a store that is open and goes on being written. Its state at one moment is tables, which never change, and the
 * entries of the log behind them; both stay until they are released, so the copy may take its time. The tables are linked,
 * or copied and checked; the entries are written to a log of the copy's own; a manifest is written that names the tables.
 */
import { CorruptionError, DiskError } from '../base/errors.ts';
import type { Clock } from '../io/clock.ts';
import type { Compression } from '../io/compression.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { Index } from '../log/entry.ts';
import type { TableEntry } from '../lsm/manifest.ts';
import { type OpenedFiles, renewManifest, tablePath } from '../lsm/store_files.ts';
import { openTable } from '../lsm/table_reader.ts';
import { type CopiedFile, checksumOf, copyFile } from './file_copy.ts';
import { writeList } from './file_list.ts';
import { type LogPart, writeLog } from './log_writing.ts';
import { storeFiles } from './paths.ts';
import { resultOf, type Steps } from './steps.ts';
import type { Target } from './target.ts';

/** A state of an open store. */
export interface HeldState extends LogPart {
  /** Where its tables are. */
  readonly tablesDirectory: string;
  readonly tables: readonly TableEntry[];
  readonly release: () => void;
}

export interface CopyProgress {
  /** Of tables: copied, and read back and checked. */
  readonly copiedBytes: number;
  readonly checkedBytes: number;
  readonly totalBytes: number;
}

export interface LiveCopyOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  /**
   * `link`: tables become names of the same files, where that is possible. `copy`: every byte is copied and the copy is
   * checked, and there is a list of all files.
   */
  readonly tables: 'link' | 'copy';
  /** Those that the tables may be compressed with: of one with another only blocks are checked, not records. */
  readonly compressions: readonly Compression[];
  readonly onProgress: (progress: CopyProgress) => void;
}

export interface LiveCopy {
  readonly tables: number;
  /** How many of the tables are links; the others are copies. */
  readonly linked: number;
  /** Bytes that the copy takes beside what it shares with the store. */
  readonly copiedBytes: number;
  /** Writes up to this revision are in it. */
  readonly revision: Index;
  /** Why tables were copied that were to be linked; null: none was. */
  readonly whyCopied: string | null;
}

/** Fills the target and gives it its name; or throws, and leaves nothing. The state is released in any case. */
export function* copyLive(state: HeldState, target: Target, options: LiveCopyOptions): Steps<LiveCopy> {
  try {
    target.begin();
    const copy = yield* new Copying(state, target, options).run();
    yield* target.commit();
    return copy;
  } catch (error) {
    target.discard();
    throw error;
  } finally {
    state.release();
  }
}

class Copying {
  readonly #state: HeldState;
  readonly #directory: string;
  readonly #options: LiveCopyOptions;
  #linked = 0;
  #whyCopied: string | null = null;
  #copiedBytes = 0;
  #checkedBytes = 0;
  #totalBytes = 0;

  constructor(state: HeldState, target: Target, options: LiveCopyOptions) {
    this.#state = state;
    this.#directory = target.partial;
    this.#options = options;
  }

  *run(): Steps<LiveCopy> {
    const { disk } = this.#options;
    const { tables, lastIndex } = this.#state;
    for (const { number } of tables) {
      const file = disk.open(tablePath(this.#state.tablesDirectory, number));
      this.#totalBytes += file.size;
      file.close();
    }
    for (const { number } of tables) yield* this.#takeTable(number);
    yield* this.#writeManifest();
    yield* this.#writeLog();
    if (this.#options.tables === 'copy') yield* this.#writeList();
    return {
      tables: tables.length,
      linked: this.#linked,
      copiedBytes: this.#copiedBytes,
      revision: lastIndex,
      whyCopied: this.#whyCopied,
    };
  }

  *#takeTable(number: number): Steps<void> {
    const { disk, tables } = this.#options;
    const from = tablePath(this.#state.tablesDirectory, number);
    const to = tablePath(`${this.#directory}/tables`, number);
    if (tables === 'link' && this.#link(from, to)) {
      this.#linked++;
      yield null;
      return;
    }
    yield* copyFile(disk, from, to, (bytes) => {
      this.#copiedBytes += bytes;
      this.#tell();
    });
    if (tables === 'copy') yield* this.#check(number, from, to);
  }

  /** False: it cannot be linked there. */
  #link(from: string, to: string): boolean {
    if (this.#whyCopied !== null) return false;
    try {
      this.#options.disk.link(from, to);
      return true;
    } catch (error) {
      // Whatever keeps a file from being linked, a copy does as well, or says what is wrong.
      if (!(error instanceof DiskError)) throw error;
      this.#whyCopied = error.message;
      return false;
    }
  }

  /** Reads the copy back. @throws CorruptionError that names the file which is damaged */
  *#check(number: number, from: string, to: string): Steps<void> {
    try {
      yield* this.#checkTable(number, to);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      // The bytes are those of the original, unless the copy is at fault.
      yield* this.#checkTable(number, from);
      throw error;
    }
  }

  *#checkTable(number: number, path: string): Steps<void> {
    const { disk, compressions } = this.#options;
    const table = openTable(disk, path, number, { cache: null, compressions });
    try {
      for (let block = 0; block < table.blocks; block++) {
        this.#checkedBytes += table.verifyRecords(block);
        if (block % 64 === 63) {
          this.#tell();
          yield null;
        }
      }
      this.#checkedBytes += table.verifySections();
      this.#tell();
    } finally {
      table.close();
    }
  }

  #tell(): void {
    const { onProgress } = this.#options;
    onProgress({
      copiedBytes: this.#copiedBytes,
      checkedBytes: this.#checkedBytes,
      totalBytes: this.#totalBytes,
    });
  }

  *#writeManifest(): Steps<void> {
    const { disk } = this.#options;
    const { tables, flushedIndex } = this.#state;
    // It takes numbers behind those of the tables by itself.
    const state = { flushedIndex, nextFile: 1, tables };
    const directory = `${this.#directory}/tables`;
    const opened = yield* resultOf<OpenedFiles>((done) => renewManifest(disk, directory, state, done));
    opened.manifest.close();
  }

  *#writeLog(): Steps<void> {
    this.#copiedBytes += yield* writeLog(this.#options, `${this.#directory}/log`, this.#state);
  }

  *#writeList(): Steps<void> {
    const { disk } = this.#options;
    const list = new Map<string, CopiedFile>();
    for (const name of storeFiles(disk, this.#directory).files) {
      list.set(name, yield* checksumOf(disk, `${this.#directory}/${name}`));
    }
    yield* writeList(disk, this.#directory, list);
  }
}
