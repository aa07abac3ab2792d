/**
 * Writes the tables of a run in the background: a step at a time, so that neither a flush nor a compaction holds up
 * anything else, then makes files and names durable and opens them for reading.
 *
 * The work itself is a generator (`steps`) that knows no clock; the build drives it, one step of `stepBytes` in a turn.
 * A table ends where the next key would make it larger than `tableBytes`: all versions of a key are in one table, and range
 * tombstones are cut at that key, so tables of a run never overlap.
 */

import type { Outcome } from '../base/errors.ts';
import { rarely, sometimes } from '../base/rare.ts';
import { compareBytes } from '../codec/bytes.ts';
import type { Clock } from '../io/clock.ts';
import type { AppendFile, Disk } from '../io/disk.ts';
import type { BlockCache } from './block_cache.ts';
import { clipTombstones, type RangeTombstone } from './range_tombstones.ts';
import type { Cursor } from './record.ts';
import type { Retention } from './retention.ts';
import { tablePath } from './store_files.ts';
import { openTable, type TableReader } from './table_reader.ts';
import { TableWriter, type TableWriterOptions } from './table_writer.ts';

export interface RunBuildOptions extends TableWriterOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly directory: string;
  /** For the reads of the new tables. */
  readonly blockCache: BlockCache | null;
  /** Data bytes at which a table ends. */
  readonly tableBytes: number;
  /** Bytes of records handled in one step. */
  readonly stepBytes: number;
}

export interface RunBuildJob {
  /** A number that no file has had. */
  readonly nextNumber: () => number;
  /** Every version that there is, in the order of a cursor. */
  readonly records: Cursor;
  readonly retention: Retention;
  /** Whether somebody waits for the result. */
  readonly isUrgent: () => boolean;
}

/** A table that is being written. */
interface Output {
  readonly number: number;
  readonly file: AppendFile;
  readonly writer: TableWriter;
}

export class RunBuild {
  readonly #options: RunBuildOptions;
  readonly #job: RunBuildJob;
  readonly #done: (outcome: Outcome<TableReader[]>) => void;
  readonly #numbers: number[] = [];
  readonly #readers: TableReader[] = [];
  #file: AppendFile | null = null;
  #steps: Generator<AppendFile | null, void> | null = null;
  #stopped = false;

  /** `done` comes later, with the tables in order. After an error files may be there in part: see `discard`. */
  constructor(options: RunBuildOptions, job: RunBuildJob, done: (outcome: Outcome<TableReader[]>) => void) {
    this.#options = options;
    this.#job = job;
    this.#done = done;
    options.clock.after(0, this.#step);
  }

  /** No step follows and `done` is never called. */
  stop(): void {
    this.#stopped = true;
    this.#file?.close();
    for (const reader of this.#readers) reader.close();
  }

  /** Removes what a failed build has left. What cannot be removed now is removed at the next open. */
  discard(): void {
    const { disk, directory } = this.#options;
    for (const number of this.#numbers) {
      try {
        if (disk.exists(tablePath(directory, number))) disk.remove(tablePath(directory, number));
      } catch {
        rarely('what a failed build has left cannot be removed');
      }
    }
  }

  readonly #step = (): void => {
    if (this.#stopped) return;
    try {
      this.#steps ??= this.#write();
      const { done, value } = this.#steps.next();
      if (done === true) this.#finish();
      else if (value) this.#sync(value);
      else this.#planStep();
    } catch (error) {
      this.#fail(error);
    }
  };

  /** A timer leaves the loop room for a millisecond; when writers wait for the result, its next turn is soon enough. */
  #planStep(): void {
    const { clock } = this.#options;
    if (this.#job.isUrgent()) clock.later(this.#step);
    else clock.after(0, this.#step);
  }

  /** Yields null between steps, and each file that is complete and to be made durable. */
  *#write(): Generator<AppendFile | null, void> {
    const { records, retention } = this.#job;
    const { tableBytes, stepBytes } = this.#options;
    const tombstones = retention.keptTombstones();
    let low: Uint8Array | null = null;
    let output: Output | null = null;
    let bytes = 0;
    for (records.seekToFirst(); records.isValid; records.next()) {
      if (retention.keeps(records.key, records.sequence, records.kind)) {
        if (output !== null && output.writer.sizeBytes >= tableBytes) {
          if (compareBytes(records.key, output.writer.lastKey) !== 0) {
            sometimes('a run is cut into several tables');
            const border = records.key.slice();
            yield* finishOutput(output, clipTombstones(tombstones, low, border));
            output = null;
            low = border;
          }
        }
        output ??= this.#begin();
        output.writer.add(records.key, records.sequence, records.kind, records.value);
      }
      bytes += records.key.length + records.value.length;
      if (bytes >= stepBytes) {
        bytes = 0;
        yield null;
      }
    }
    const rest = clipTombstones(tombstones, low, null);
    if (output === null && rest.length > 0) output = this.#begin();
    if (output !== null) yield* finishOutput(output, rest);
  }

  #begin(): Output {
    const { disk, directory } = this.#options;
    const number = this.#job.nextNumber();
    this.#numbers.push(number);
    const file = disk.create(tablePath(directory, number));
    this.#file = file;
    return { number, file, writer: new TableWriter(file, number, this.#options) };
  }

  #sync(file: AppendFile): void {
    file.sync((error) => {
      if (this.#stopped) return;
      file.close();
      if (error === null) this.#step();
      else this.#fail(error);
    });
  }

  #finish(): void {
    const { disk, directory } = this.#options;
    if (this.#numbers.length === 0) {
      rarely('a merge leaves nothing');
      this.#done({ ok: true, value: [] });
      return;
    }
    disk.syncDirectory(directory, (error) => {
      if (this.#stopped) return;
      if (error === null) this.#open();
      else this.#fail(error);
    });
  }

  /** One table in a turn: reading filter and index of a large one takes milliseconds. */
  readonly #open = (): void => {
    if (this.#stopped) return;
    const { disk, directory, clock, blockCache } = this.#options;
    const number = this.#numbers[this.#readers.length];
    if (number === undefined) {
      this.#done({ ok: true, value: this.#readers });
      return;
    }
    try {
      this.#readers.push(openTable(disk, tablePath(directory, number), number, blockCache));
    } catch (error) {
      this.#fail(error);
      return;
    }
    clock.after(0, this.#open);
  };

  #fail(error: unknown): void {
    this.#file?.close();
    for (const reader of this.#readers) reader.close();
    this.#done({ ok: false, error: error instanceof Error ? error : new Error(String(error)) });
  }
}

function* finishOutput(
  { writer, file }: Output,
  tombstones: readonly RangeTombstone[],
): Generator<AppendFile | null, void> {
  writer.setRangeTombstones(tombstones);
  for (const _step of writer.finish()) yield null;
  yield file;
}
