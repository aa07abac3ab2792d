/**
 * Writes a table in the background: a step at a time, so that neither a flush nor a merge holds up anything else, then
 * makes file and name durable and opens it for reading.
 */

import type { Outcome } from '../base/errors.ts';
import { sometimes } from '../base/rare.ts';
import type { Clock } from '../io/clock.ts';
import type { AppendFile, Disk } from '../io/disk.ts';
import { type Cursor, RecordKind } from './record.ts';
import { openTable, type TableReader } from './table_reader.ts';
import { TableWriter, type TableWriterOptions } from './table_writer.ts';

export interface TableBuildOptions extends TableWriterOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: string;
  readonly path: string;
  /** The table's number. */
  readonly number: number;
  /** Each key once, ascending. */
  readonly records: Cursor;
  /** `drop` when nothing older is left that a tombstone must hide. */
  readonly tombstones: 'keep' | 'drop';
  /** Bytes of records handled in one step. */
  readonly stepBytes: number;
}

export class TableBuild {
  readonly #options: TableBuildOptions;
  readonly #done: (outcome: Outcome<TableReader | null>) => void;
  #file: AppendFile | null = null;
  #steps: Generator<void, 'written' | 'empty'> | null = null;
  #stopped = false;

  /** `done` comes later, with null when there was no record to write. After an error the file may be there in part. */
  constructor(options: TableBuildOptions, done: (outcome: Outcome<TableReader | null>) => void) {
    this.#options = options;
    this.#done = done;
    options.clock.after(0, this.#step);
  }

  /** No step follows and `done` is never called. */
  stop(): void {
    this.#stopped = true;
    this.#file?.close();
  }

  readonly #step = (): void => {
    if (this.#stopped) return;
    try {
      this.#steps ??= this.#write();
      const { done, value } = this.#steps.next();
      if (done === true) this.#finish(value);
      else this.#options.clock.after(0, this.#step);
    } catch (error) {
      this.#fail(error);
    }
  };

  *#write(): Generator<void, 'written' | 'empty'> {
    const { disk, path, number, records, tombstones, stepBytes } = this.#options;
    this.#file = disk.create(path);
    const writer = new TableWriter(this.#file, number, this.#options);
    let bytes = 0;
    for (records.seekToFirst(); records.isValid; records.next()) {
      const { key, kind, value } = records;
      if (kind === RecordKind.Put || tombstones === 'keep') writer.add(key, records.sequence, kind, value);
      bytes += key.length + value.length;
      if (bytes >= stepBytes) {
        bytes = 0;
        yield;
      }
    }
    if (writer.records === 0) {
      sometimes('a merge leaves nothing');
      return 'empty';
    }
    yield* writer.finish();
    return 'written';
  }

  #finish(outcome: 'written' | 'empty'): void {
    const { disk, directory, path } = this.#options;
    const file = this.#file;
    if (file === null) return;
    if (outcome === 'empty') {
      file.close();
      disk.remove(path);
      this.#done({ ok: true, value: null });
      return;
    }
    file.sync((error) => {
      if (this.#stopped) return;
      file.close();
      if (error !== null) {
        this.#fail(error);
        return;
      }
      try {
        disk.syncDirectory(directory, (directoryError) => {
          if (this.#stopped) return;
          if (directoryError === null) this.#open();
          else this.#fail(directoryError);
        });
      } catch (failure) {
        this.#fail(failure);
      }
    });
  }

  #open(): void {
    const { disk, path, number } = this.#options;
    let reader: TableReader;
    try {
      reader = openTable(disk, path, number);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#done({ ok: true, value: reader });
  }

  #fail(error: unknown): void {
    this.#file?.close();
    this.#done({ ok: false, error: error instanceof Error ? error : new Error(String(error)) });
  }
}
