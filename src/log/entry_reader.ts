/**
 * Reads entries back: from the bytes written last, which are in memory, or from their segments, where each record is
 * checked and must be the one that was written there.
 */
import { CorruptionError, DiskError } from '../base/errors.ts';
import { sometimes } from '../base/rare.ts';
import { isReadError, readStubbornly } from '../base/read_error.ts';
import type { AppendFile } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { BatchBuffer } from './batch_buffer.ts';
import type { Entry, EntryKind, Index } from './entry.ts';
import type { GroupState } from './group_state.ts';
import { RECORD_HEADER_BYTES, RecordField, RecordKind, recordBytes } from './record.ts';
import { RecordReader } from './record_reader.ts';
import type { SealedSegments } from './sealed_segments.ts';
import { segmentPath } from './segment_header.ts';

export interface EntryReaderOptions {
  readonly directory: string;
  readonly logger: Logger;
  /** As `LogOptions.damage`. */
  readonly damage: 'refuse' | 'name';
  readonly batch: BatchBuffer;
  readonly sealed: SealedSegments;
  /** The segment that is written to. */
  readonly current: () => { readonly segment: number; readonly file: AppendFile };
}

export class EntryReader {
  readonly #options: EntryReaderOptions;

  constructor(options: EntryReaderOptions) {
    this.#options = options;
  }

  /**
   * What an entry is, is known of those in the log even when nothing of their records can be read any more: it becomes one
   * of the damaged ones. Its kind is not known, which matters to nobody who has read it before.
   */
  readIfIntact(state: GroupState, index: Index): Entry | null {
    if (this.#options.damage !== 'name') return this.read(state, index);
    if (state.holes.has(index)) return null;
    try {
      return this.read(state, index);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      sometimes('an entry is found damaged while the log is in use');
      const { path, offset, message } = error;
      this.#options.logger.log('warn', 'log-damaged', { path, offset, why: message });
      state.holes.add(index, null);
      return null;
    }
  }

  /** @throws CorruptionError, DiskError */
  read(state: GroupState, index: Index): Entry {
    const term = state.termAt(index);
    const mended = state.mendedAt(index);
    const segment = mended === null ? state.segmentAt(index) : mended.segment;
    const offset = mended === null ? state.offsetAt(index) : mended.offset;
    const payloadBytes = state.payloadBytesAt(index);
    if (state.holes.has(index)) {
      const name = `group ${state.group} index ${index} term ${term}`;
      throw new CorruptionError(this.#path(segment), offset, `the record of ${name} is damaged`);
    }
    const cached = this.#options.batch.find(segment, offset, RECORD_HEADER_BYTES + payloadBytes);
    if (cached !== null) {
      const kind = cached[RecordField.EntryKind] as EntryKind;
      return { index, term, kind, payload: cached.subarray(RECORD_HEADER_BYTES) };
    }
    sometimes('an entry is read back from its segment');
    const bytes = recordBytes(payloadBytes);
    let view: Uint8Array;
    try {
      view = this.#view(segment, offset, bytes);
    } catch (error) {
      if (!isReadError(error)) throw error;
      view = this.#viewAgain(segment, offset, bytes, `group ${state.group} index ${index} term ${term}`);
    }
    const reader = new RecordReader(view, segment, offset);
    const result = reader.read(offset);
    const isExpected =
      result === 'intact' &&
      (reader.recordKind === RecordKind.Entry || reader.recordKind === RecordKind.Mend) &&
      reader.group === state.group &&
      reader.index === index &&
      reader.term === term &&
      reader.payloadBytes === payloadBytes;
    if (!isExpected) {
      const name = `group ${state.group} index ${index} term ${term}`;
      throw new CorruptionError(this.#path(segment), offset, `the record of ${name} is not what was written`);
    }
    // A copy: the view is only valid until control returns to the event loop.
    const payload = view.slice(RECORD_HEADER_BYTES, RECORD_HEADER_BYTES + payloadBytes);
    return { index, term, kind: reader.entryKind as EntryKind, payload };
  }

  #view(segment: number, offset: number, bytes: number): Uint8Array {
    const current = this.#options.current();
    return segment === current.segment
      ? current.file.view(offset, bytes)
      : this.#options.sealed.view(segment, offset, bytes);
  }

  /** What the disk has refused to read. @throws DiskError that says what stands there, when it refuses on. */
  #viewAgain(segment: number, offset: number, bytes: number, name: string): Uint8Array {
    try {
      return readStubbornly(() => this.#view(segment, offset, bytes));
    } catch (error) {
      if (!isReadError(error)) throw error;
      const what = `the record of ${name} at offset ${offset} cannot be read`;
      throw new DiskError(error.operation, this.#path(segment), error.errno, what);
    }
  }

  #path(segment: number): string {
    return segmentPath(this.#options.directory, segment);
  }
}
