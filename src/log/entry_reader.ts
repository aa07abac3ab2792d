/**
 * Reads entries back: from the bytes written last, which are in memory, or from their segments, where each record is
 * checked and must be the one that was written there. Neighbours are read from the disk together.
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

/** Bytes of a segment that are read together at most; a record that is longer is read alone. */
const AHEAD_BYTES_MAX = 64 * 1024;
/** Between two entries stand markers and other groups' records: where these are longer, the entries are no neighbours. */
const GAP_BYTES_MAX = 512;

/** A piece of a segment that begins and ends with a record: a copy. */
interface Ahead {
  readonly segment: number;
  readonly start: number;
  readonly bytes: Uint8Array;
  readonly records: RecordReader;
}

export class EntryReader {
  readonly #options: EntryReaderOptions;
  /** What the disk did not read the last time: there each entry is read by itself, since a disk may take seconds to fail. */
  #unreadable = { segment: 0, start: 0, end: 0 };

  constructor(options: EntryReaderOptions) {
    this.#options = options;
  }

  /** As `GroupLog.entries`. */
  readEntries(state: GroupState, from: Index, toExclusive: Index, maxBytes: number): Entry[] {
    const entries: Entry[] = [];
    let ahead: Ahead | null = null;
    let bytes = 0;
    for (let index = from; index < toExclusive; index++) {
      const payloadBytes = state.payloadBytesAt(index);
      if (index > from && bytes + payloadBytes > maxBytes) break;
      if (ahead === null || !holds(ahead, state, index))
        ahead = this.#readAhead(state, index, toExclusive, maxBytes - bytes);
      bytes += payloadBytes;
      const entry = this.#readIfIntact(state, index, ahead);
      if (entry === null) break;
      entries.push(entry);
    }
    return entries;
  }

  /** @throws CorruptionError, DiskError */
  read(state: GroupState, index: Index): Entry {
    return this.#read(state, index, null);
  }

  /**
   * What an entry is, is known of those in the log even when nothing of their records can be read any more: it becomes one
   * of the damaged ones. Its kind is not known, which matters to nobody who has read it before.
   */
  #readIfIntact(state: GroupState, index: Index, ahead: Ahead | null): Entry | null {
    if (this.#options.damage !== 'name') return this.#read(state, index, ahead);
    if (state.holes.has(index)) return null;
    try {
      return this.#read(state, index, ahead);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      sometimes('an entry is found damaged while the log is in use');
      const { path, offset, message } = error;
      this.#options.logger.log('warn', 'log-damaged', { path, offset, why: message });
      state.holes.add(index, null);
      return null;
    }
  }

  #read(state: GroupState, index: Index, ahead: Ahead | null): Entry {
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
    const isAhead = ahead !== null && mended === null && holds(ahead, state, index);
    const { start, bytes, records } = isAhead ? ahead : this.#readAlone(state, index, segment, offset);
    const isExpected =
      records.read(offset) === 'intact' &&
      (records.recordKind === RecordKind.Entry || records.recordKind === RecordKind.Mend) &&
      records.group === state.group &&
      records.index === index &&
      records.term === term &&
      records.payloadBytes === payloadBytes;
    if (!isExpected) {
      const name = `group ${state.group} index ${index} term ${term}`;
      throw new CorruptionError(this.#path(segment), offset, `the record of ${name} is not what was written`);
    }
    const at = offset - start + RECORD_HEADER_BYTES;
    const payload = bytes.subarray(at, at + payloadBytes);
    return { index, term, kind: records.entryKind as EntryKind, payload };
  }

  /**
   * The record of an entry and those of as many behind it as stand there in a row; null where that is no more than one, or
   * where they are in memory, or cannot be read together.
   */
  #readAhead(state: GroupState, from: Index, toExclusive: Index, maxBytes: number): Ahead | null {
    const segment = state.segmentAt(from);
    const start = state.offsetAt(from);
    let end = start;
    let payloads = 0;
    let index = from;
    for (; index < toExclusive && this.#isInRow(state, index, segment); index++) {
      const offset = state.offsetAt(index);
      const payloadBytes = state.payloadBytesAt(index);
      const nextEnd = offset + recordBytes(payloadBytes);
      payloads += payloadBytes;
      if (payloads > maxBytes || offset - end > GAP_BYTES_MAX || nextEnd - start > AHEAD_BYTES_MAX) break;
      end = nextEnd;
    }
    const { segment: badSegment, start: badStart, end: badEnd } = this.#unreadable;
    const isBad = segment === badSegment && start < badEnd && end > badStart;
    if (index - from < 2 || isBad) return null;
    try {
      return makeAhead(segment, start, this.#view(segment, start, end - start));
    } catch (error) {
      if (!isReadError(error)) throw error;
      this.#unreadable = { segment, start, end };
      return null;
    }
  }

  #isInRow(state: GroupState, index: Index, segment: number): boolean {
    return (
      state.segmentAt(index) === segment &&
      state.mendedAt(index) === null &&
      !state.holes.has(index) &&
      !this.#options.batch.mayHold(segment, state.offsetAt(index))
    );
  }

  #readAlone(state: GroupState, index: Index, segment: number, offset: number): Ahead {
    const bytes = recordBytes(state.payloadBytesAt(index));
    let view: Uint8Array;
    try {
      view = this.#view(segment, offset, bytes);
    } catch (error) {
      if (!isReadError(error)) throw error;
      const name = `group ${state.group} index ${index} term ${state.termAt(index)}`;
      view = this.#viewAgain(segment, offset, bytes, name);
    }
    return makeAhead(segment, offset, view);
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

/** @param view Only valid until control returns to the event loop. */
function makeAhead(segment: number, start: number, view: Uint8Array): Ahead {
  const bytes = view.slice();
  return { segment, start, bytes, records: new RecordReader(bytes, segment, start) };
}

/** Whether the record of the entry, the first one where it was mended, is in the piece. */
function holds({ segment, start, bytes }: Ahead, state: GroupState, index: Index): boolean {
  const offset = state.offsetAt(index);
  const end = offset + recordBytes(state.payloadBytesAt(index));
  return state.segmentAt(index) === segment && offset >= start && end <= start + bytes.length;
}
