/**
 * Decodes records from bytes that are not to be trusted; the layout is in `record.ts`. The fields of the reader are
 * those of the record read last, so that recovery makes no object per record.
 */
import { EnvelopeError } from '../base/errors.ts';
import { crc32 } from '../codec/crc32.ts';
import { EntryKind, type GroupId, type Index, type Term } from './entry.ts';
import {
  getUint53,
  PAYLOAD_BYTES_MAX,
  placeSeed,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  RECORD_VERSION,
  RecordField,
  RecordKind,
  recordBytes,
} from './record.ts';

const RECORD_KINDS: ReadonlySet<number> = new Set(Object.values(RecordKind));
const ENTRY_KINDS: ReadonlySet<number> = new Set(Object.values(EntryKind));

/**
 * - `intact`: header and payload are what was written; all fields are valid;
 * - `payload`: the header is intact and so are the fields, but the payload is damaged, or cut off by the end of the bytes;
 * - `header`: nothing is known.
 */
export type ReadResult = 'intact' | 'payload' | 'header';

export class RecordReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #segment: number;
  readonly #base: number;

  version = 0;
  recordKind = 0;
  /** An `EntryKind` once the record is understood. */
  entryKind = 0;
  group: GroupId = 0;
  index: Index = 0;
  term: Term = 0;
  payloadBytes = 0;
  /** Of the term of the entry before, see `termMark`; 0: none was written. */
  termBefore = 0;

  /** `bytes` start at offset `base` of the segment; the reader neither changes nor copies them. */
  constructor(bytes: Uint8Array, segment: number, base: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#segment = segment;
    this.#base = base;
  }

  /** Reads the record at `offset` of the segment. */
  read(offset: number): ReadResult {
    if (!this.readHeader(offset)) return 'header';
    const start = offset - this.#base + RECORD_HEADER_BYTES;
    const end = start + this.payloadBytes;
    if (offset - this.#base + this.bytes > this.#bytes.length) return 'payload';
    const expected = this.#view.getUint32(start - RECORD_HEADER_BYTES + RecordField.PayloadCrc, true);
    if (this.payloadBytes === 0) return expected === 0 ? 'intact' : 'payload';
    return crc32(this.#bytes.subarray(start, end)) === expected ? 'intact' : 'payload';
  }

  /** Reads the header at `offset` alone; false when it is not intact. */
  readHeader(offset: number): boolean {
    const at = offset - this.#base;
    if (at + RECORD_HEADER_BYTES > this.#bytes.length || !this.#hasMagic(at)) return false;
    const found = crc32(
      this.#bytes.subarray(at, at + RecordField.HeaderCrc),
      placeSeed(this.#segment, offset),
    );
    if (found !== this.#view.getUint32(at + RecordField.HeaderCrc, true)) return false;
    this.version = this.#bytes[at + RecordField.Version];
    this.recordKind = this.#bytes[at + RecordField.RecordKind];
    this.entryKind = this.#bytes[at + RecordField.EntryKind];
    this.termBefore = this.#view.getUint16(at + RecordField.TermBefore, true);
    this.group = this.#view.getUint32(at + RecordField.Group, true);
    this.payloadBytes = this.#view.getUint32(at + RecordField.Length, true);
    this.index = getUint53(this.#view, at + RecordField.Index);
    this.term = getUint53(this.#view, at + RecordField.Term);
    return this.payloadBytes <= PAYLOAD_BYTES_MAX;
  }

  /** Of an intact fence that was read last, at `offset`: the term of the entry that it stands behind. */
  fencedTerm(offset: number): Term {
    return getUint53(this.#view, offset - this.#base + RECORD_HEADER_BYTES);
  }

  /** Size in bytes of the record read last, padding included. */
  get bytes(): number {
    return recordBytes(this.payloadBytes);
  }

  /**
   * Refuses a record whose header is intact but written by a later version of the program.
   * @throws EnvelopeError `LOG_FORMAT`, naming what is not understood and where it is.
   */
  assertUnderstood(path: string, offset: number): void {
    let what: string | null = null;
    if (this.version !== RECORD_VERSION) what = `version ${this.version}`;
    else if (!RECORD_KINDS.has(this.recordKind)) {
      what = `kind ${this.recordKind}`;
    } else if (this.#holdsEntry && !ENTRY_KINDS.has(this.entryKind)) {
      what = `entry kind ${this.entryKind}`;
    }
    if (what === null) return;
    throw new EnvelopeError(
      'LOG_FORMAT',
      `${path} holds a record of unknown ${what} at offset ${offset}: a later version of the program wrote it`,
    );
  }

  get #holdsEntry(): boolean {
    return this.recordKind === RecordKind.Entry || this.recordKind === RecordKind.Mend;
  }

  #hasMagic(at: number): boolean {
    return (
      this.#bytes[at] === RECORD_MAGIC[0] &&
      this.#bytes[at + 1] === RECORD_MAGIC[1] &&
      this.#bytes[at + 2] === RECORD_MAGIC[2]
    );
  }
}
