/**
 * Writes the tables of a run, as steps that know no clock: whoever drives them decides when the next one is due, and makes
 * durable what they hand out.
 *
 * A table ends where the next key would make it larger than `tableBytes`: all versions of a key are in one table, and range
 * tombstones are cut at that key, so tables of a run never overlap.
 */
import { sometimes } from '../base/rare.ts';
import { compareBytes } from '../codec/bytes.ts';
import type { AppendFile, Disk } from '../io/disk.ts';
import { clipTombstones, type RangeTombstone } from './range_tombstones.ts';
import { RecordKind } from './record.ts';
import type { RunInput } from './run_input.ts';
import { tablePath } from './store_files.ts';
import { TableWriter, type TableWriterOptions } from './table_writer.ts';

export interface RunWriterOptions extends TableWriterOptions {
  readonly directory: string;
  /** Data bytes at which a table ends. */
  readonly tableBytes: number;
  /** Bytes of records handled in one step. */
  readonly stepBytes: number;
}

const EMPTY = new Uint8Array(0);

/** A table that is being written. */
interface Output {
  readonly number: number;
  readonly file: AppendFile;
  readonly writer: TableWriter;
}

export class RunWriter {
  /** Of the tables begun, in order. */
  readonly numbers: number[] = [];
  readonly #disk: Disk;
  readonly #options: RunWriterOptions;
  readonly #input: RunInput;
  readonly #nextNumber: () => number;
  #file: AppendFile | null = null;

  /** @param nextNumber A number that no file has had. */
  constructor(disk: Disk, options: RunWriterOptions, input: RunInput, nextNumber: () => number) {
    this.#disk = disk;
    this.#options = options;
    this.#input = input;
    this.#nextNumber = nextNumber;
  }

  /**
   * Yields null between steps, and each file that is complete: it is to be synced and closed before the next step.
   * @throws CorruptionError, DiskError
   */
  *steps(): Generator<AppendFile | null, void> {
    const { records, retention } = this.#input;
    const { tableBytes, stepBytes } = this.#options;
    const tombstones = retention.keptTombstones();
    let low: Uint8Array | null = null;
    let output: Output | null = null;
    let bytes = 0;
    for (records.seekToFirst(); records.isValid; records.next()) {
      let { key } = records;
      let recordBytes = key.length;
      const kind = retention.kindKept(records);
      // What is kept takes its checksum along. Else nobody would ever learn that it is left out for what has changed.
      if (kind !== records.kind && !retention.isSuperseded) records.verify?.();
      if (kind !== null) {
        if (output !== null && output.writer.sizeBytes >= tableBytes) {
          if (compareBytes(key, output.writer.lastKey) !== 0) {
            sometimes('a run is cut into several tables');
            const border = key.slice();
            yield* finishOutput(output, clipTombstones(tombstones, low, border));
            output = null;
            low = border;
            // Views do not outlast a step.
            key = records.key;
          }
        }
        output ??= this.#begin();
        const value = kind === RecordKind.Put ? records.value : EMPTY;
        const crc = kind === records.kind ? records.crc : undefined;
        output.writer.add(key, records.sequence, kind, value, crc);
        if (kind === RecordKind.Put) output.writer.noteExpiry(retention.expiresAtMs);
        else if (records.kind === RecordKind.Put) sometimes('an expired value becomes a tombstone');
        recordBytes += value.length;
      }
      bytes += recordBytes;
      if (bytes >= stepBytes) {
        bytes = 0;
        yield null;
      }
    }
    const rest = clipTombstones(tombstones, low, null);
    if (output === null && rest.length > 0) output = this.#begin();
    if (output !== null) yield* finishOutput(output, rest);
  }

  /** Closes the file that is being written; no step may follow. */
  close(): void {
    this.#file?.close();
  }

  #begin(): Output {
    const number = this.#nextNumber();
    this.numbers.push(number);
    const file = this.#disk.create(tablePath(this.#options.directory, number));
    this.#file = file;
    return { number, file, writer: new TableWriter(file, number, this.#options) };
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
