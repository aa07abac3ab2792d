/** Encodes records; the layout is in `record.ts`. */
import { copyRange } from '../codec/bytes.ts';
import { crc32Range } from '../codec/crc32_range.ts';
import type { Entry, GroupId, Index, Term } from './entry.ts';
import {
  FENCE_PAYLOAD_BYTES,
  placeSeed,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  RECORD_VERSION,
  RecordField,
  RecordKind,
  setUint53,
  termMark,
} from './record.ts';

const NOTHING = new Uint8Array(0);

/** A place in a group's log. */
export interface GroupPoint {
  readonly group: GroupId;
  readonly index: Index;
  readonly term: Term;
}

export class RecordWriter {
  /** Headers are put together here. */
  readonly #header = new Uint8Array(RECORD_HEADER_BYTES);
  readonly #view = new DataView(this.#header.buffer);

  constructor() {
    this.#header.set(RECORD_MAGIC);
    this.#header[RecordField.Version] = RECORD_VERSION;
  }

  /**
   * Writes an entry's record to `target` from `at` on, where `recordBytes(payload.length)` zero bytes are free.
   * `segment` and `offset` are the record's place in the log; `termBefore` is the term of the entry before its index.
   */
  writeEntry(
    target: Uint8Array,
    at: number,
    segment: number,
    offset: number,
    group: GroupId,
    entry: Entry,
    termBefore: Term,
  ): void {
    this.#writeEntry(RecordKind.Entry, target, at, segment, offset, group, entry, termMark(termBefore));
  }

  /** As `writeEntry`, of an entry whose first record is damaged. */
  writeMend(
    target: Uint8Array,
    at: number,
    segment: number,
    offset: number,
    group: GroupId,
    entry: Entry,
  ): void {
    this.#writeEntry(RecordKind.Mend, target, at, segment, offset, group, entry, 0);
  }

  #writeEntry(
    recordKind: RecordKind,
    target: Uint8Array,
    at: number,
    segment: number,
    offset: number,
    group: GroupId,
    entry: Entry,
    mark: number,
  ): void {
    const { payload } = entry;
    this.#header[RecordField.RecordKind] = recordKind;
    this.#header[RecordField.EntryKind] = entry.kind;
    this.#view.setUint16(RecordField.TermBefore, mark, true);
    this.#view.setUint32(RecordField.Group, group, true);
    this.#view.setUint32(RecordField.Length, payload.length, true);
    setUint53(this.#view, RecordField.Index, entry.index);
    setUint53(this.#view, RecordField.Term, entry.term);
    this.#view.setUint32(RecordField.PayloadCrc, crc32Range(payload, 0, payload.length), true);
    this.#seal(target, at, segment, offset);
    copyRange(target, at + RECORD_HEADER_BYTES, payload, 0, payload.length);
  }

  /** Writes a marker that attests everything before its own place. */
  writeMarker(target: Uint8Array, at: number, segment: number, offset: number): void {
    this.#header[RecordField.RecordKind] = RecordKind.Marker;
    this.#header[RecordField.EntryKind] = 0;
    this.#view.setUint16(RecordField.TermBefore, 0, true);
    this.#view.setUint32(RecordField.Group, 0, true);
    this.#view.setUint32(RecordField.Length, 0, true);
    setUint53(this.#view, RecordField.Index, offset);
    setUint53(this.#view, RecordField.Term, segment);
    this.#view.setUint32(RecordField.PayloadCrc, 0, true);
    this.#seal(target, at, segment, offset);
  }

  /** Writes that a group goes on behind `index`, whose entry was of `term`. */
  writeReset(target: Uint8Array, at: number, segment: number, offset: number, reset: GroupPoint): void {
    this.#writePoint(RecordKind.Reset, target, at, segment, offset, reset, NOTHING);
  }

  /** Writes that entries of terms up to `term` may be missing behind `index`, whose entry is of `lastTerm`. */
  writeFence(
    target: Uint8Array,
    at: number,
    segment: number,
    offset: number,
    fence: GroupPoint,
    lastTerm: Term,
  ): void {
    const payload = new Uint8Array(FENCE_PAYLOAD_BYTES);
    setUint53(new DataView(payload.buffer), 0, lastTerm);
    this.#writePoint(RecordKind.Fence, target, at, segment, offset, fence, payload);
  }

  #writePoint(
    recordKind: RecordKind,
    target: Uint8Array,
    at: number,
    segment: number,
    offset: number,
    { group, index, term }: GroupPoint,
    payload: Uint8Array,
  ): void {
    this.#header[RecordField.RecordKind] = recordKind;
    this.#header[RecordField.EntryKind] = 0;
    this.#view.setUint16(RecordField.TermBefore, 0, true);
    this.#view.setUint32(RecordField.Group, group, true);
    this.#view.setUint32(RecordField.Length, payload.length, true);
    setUint53(this.#view, RecordField.Index, index);
    setUint53(this.#view, RecordField.Term, term);
    this.#view.setUint32(RecordField.PayloadCrc, crc32Range(payload, 0, payload.length), true);
    this.#seal(target, at, segment, offset);
    target.set(payload, at + RECORD_HEADER_BYTES);
  }

  #seal(target: Uint8Array, at: number, segment: number, offset: number): void {
    const crc = crc32Range(this.#header, 0, RecordField.HeaderCrc, placeSeed(segment, offset));
    this.#view.setUint32(RecordField.HeaderCrc, crc, true);
    copyRange(target, at, this.#header, 0, RECORD_HEADER_BYTES);
  }
}
