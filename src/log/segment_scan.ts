/**
 * Looks at the bytes of one segment around a bad place: whether something behind it attests that it was durable, and
 * what can be said about what stood there.
 */
import { CorruptionError } from '../base/errors.ts';
import { lastNonZero } from '../codec/zeros.ts';
import { RECORD_ALIGNMENT_BYTES, RECORD_HEADER_BYTES, RecordKind } from './record.ts';
import { RecordReader } from './record_reader.ts';

/** Where reading a segment in order has ended, and what is wrong with the record there. */
export interface ScanEnd {
  readonly offset: number;
  readonly problem: 'header' | 'payload' | 'none';
}

export class SegmentScan {
  readonly path: string;
  readonly segment: number;
  readonly reader: RecordReader;
  /** Offset of the last record read in order; 0 when there is none. */
  before = 0;
  readonly #bytes: Uint8Array;
  /** Behind it all bytes are zero; negative: nobody has asked yet. */
  #nonZeroEnd = -1;

  /** `bytes` are all of the segment; they are neither changed nor copied. */
  constructor(path: string, segment: number, bytes: Uint8Array) {
    this.path = path;
    this.segment = segment;
    this.reader = new RecordReader(bytes, segment, 0);
    this.#bytes = bytes;
  }

  /** Offset behind the last byte at or behind `from` that is not zero; `from` when there is none. */
  lastNonZero(from: number): number {
    if (this.#nonZeroEnd < 0) this.#nonZeroEnd = lastNonZero(this.#bytes, 0);
    return Math.max(from, this.#nonZeroEnd);
  }

  /**
   * The offset of an intact marker, at `from` (a multiple of eight) or behind it, that attests bytes of this segment
   * beyond offset `durable`; null when there is none.
   */
  findAttestation(from: number, durable: number): number | null {
    const { reader } = this;
    for (let at = this.#nextHeader(from); at !== null; at = this.#nextHeader(at + reader.bytes)) {
      const isMarker = reader.recordKind === RecordKind.Marker;
      if (isMarker && reader.term === this.segment && reader.index > durable) return at;
    }
    return null;
  }

  /** The offset of the first intact header at `from` (a multiple of eight) or behind it; null: there is none. */
  findRecord(from: number): number | null {
    return this.#nextHeader(from);
  }

  /** The error for damage at `end`; `why` says how it is known not to be a torn tail. */
  damage(end: ScanEnd, why: string): CorruptionError {
    return new CorruptionError(this.path, end.offset, `${this.#identify(end)}; ${why}`);
  }

  #identify(end: ScanEnd): string {
    if (end.problem === 'payload' && this.reader.readHeader(end.offset)) {
      return `the payload of ${this.#name()} does not match its checksum`;
    }
    let before = 'nothing';
    if (this.before > 0 && this.reader.readHeader(this.before)) before = this.#name();
    const next = this.#nextHeader(end.offset + RECORD_ALIGNMENT_BYTES);
    const behind = next === null ? 'nothing' : `${this.#name()} at offset ${next}`;
    return `a record is not intact: before it is ${before}, behind it ${behind}`;
  }

  /** What the reader has read last, for people. */
  #name(): string {
    const { recordKind, group, index, term } = this.reader;
    return recordKind === RecordKind.Marker ? 'a marker' : `group ${group} index ${index} term ${term}`;
  }

  /** Reads the first intact header at `from` or behind it; null when there is none. */
  #nextHeader(from: number): number | null {
    // Nothing begins among the zeros at the end.
    const limit = Math.min(this.#bytes.length - RECORD_HEADER_BYTES, this.lastNonZero(0) - 1);
    for (let at = from; at <= limit; at += RECORD_ALIGNMENT_BYTES) {
      if (this.reader.readHeader(at)) return at;
    }
    return null;
  }
}
