/**
 * The edits of a batch as bytes: gathered one by one, without an object for each, and carried out from there. One byte
 * says whether any expires (0: none does); then, for each edit:
 *
 * | bytes  | field                                                                     |
 * | 1      | what is done (1: put, 2: delete, 3: put for a time), and 8 if a bucket is named |
 * | varint | only with a bucket: length of its name, in front of the name in UTF-8       |
 * | varint | length of the key, in front of the key                                    |
 * | varint | only with 3: milliseconds until it expires, from 1 on                     |
 * | varint | only when put: length of the value, in front of the value                 |
 *
 * An edit that names no bucket is of the bucket named last.
 */
import { EnvelopeError } from '../base/errors.ts';
import { copyRange, fromUtf8, utf8 } from '../codec/bytes.ts';
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from '../codec/varint.ts';
import { BUCKET_BYTES_MAX, TIME_MS_MAX } from './request.ts';

export const EditKind = { Put: 1, Delete: 2, PutForTime: 3 } as const;
const KIND_MASK = 3;
const NAMES_BUCKET = 8;
const FIRST_BYTES = 1024;
const NOTHING: Uint8Array = new Uint8Array(0);

export class BatchWriter {
  readonly #allocate: (bytesMin: number) => Uint8Array;
  #bytes: Uint8Array = NOTHING;
  #end = 1;
  #bucket: string | null = null;
  /** Edits so far. */
  size = 0;

  /** @param allocate Gives memory, whatever is in it, that the writer owns until `take`. */
  constructor(allocate: (bytesMin: number) => Uint8Array = (bytesMin) => new Uint8Array(bytesMin)) {
    this.#allocate = allocate;
  }

  /** The bytes are copied. @param ttlMs 0: it does not expire. */
  put(bucket: string, key: Uint8Array, value: Uint8Array, ttlMs: number): void {
    this.#begin(ttlMs > 0 ? EditKind.PutForTime : EditKind.Put, bucket, key, value.length);
    if (ttlMs > 0) {
      this.#bytes[0] = 1;
      this.#end = writeVarint(this.#bytes, this.#end, ttlMs);
    }
    const at = writeVarint(this.#bytes, this.#end, value.length);
    this.#end = copyRange(this.#bytes, at, value, 0, value.length);
  }

  delete(bucket: string, key: Uint8Array): void {
    this.#begin(EditKind.Delete, bucket, key, 0);
  }

  /** Bytes that `edits` has now. */
  get sizeBytes(): number {
    return this.#end;
  }

  /** A view, valid until the next edit, `clear` or `take`. */
  get edits(): Uint8Array {
    return this.#bytes === NOTHING ? new Uint8Array(1) : this.#bytes.subarray(0, this.#end);
  }

  /** The edits: their memory is the caller's from now on. The writer is as after `clear`. */
  take(): Uint8Array {
    const { edits } = this;
    this.#bytes = NOTHING;
    this.clear();
    return edits;
  }

  clear(): void {
    this.#bytes[0] = 0;
    this.#end = 1;
    this.#bucket = null;
    this.size = 0;
  }

  #begin(kind: number, bucket: string, key: Uint8Array, valueBytes: number): void {
    const isNamed = bucket !== this.#bucket;
    this.#reserve(1 + 4 * VARINT_BYTES_MAX + (isNamed ? 3 * bucket.length : 0) + key.length + valueBytes);
    const bytes = this.#bytes;
    bytes[this.#end++] = isNamed ? kind | NAMES_BUCKET : kind;
    if (isNamed) {
      const name = utf8(bucket);
      const at = writeVarint(bytes, this.#end, name.length);
      bytes.set(name, at);
      this.#end = at + name.length;
      this.#bucket = bucket;
    }
    this.#end = copyRange(bytes, writeVarint(bytes, this.#end, key.length), key, 0, key.length);
    this.size++;
  }

  #reserve(more: number): void {
    if (this.#end + more <= this.#bytes.length) return;
    const larger = this.#allocate(Math.max(FIRST_BYTES, 2 * this.#bytes.length, this.#end + more));
    if (this.#bytes.length > 0) larger.set(this.#bytes.subarray(0, this.#end));
    else larger[0] = 0;
    this.#bytes = larger;
  }
}

/** What `BatchReader.putInto` needs: keys and values as ranges of bytes, for which no view is made. */
export interface LastingPuts {
  putLasting(
    bucket: string,
    bytes: Uint8Array,
    view: DataView,
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
  ): void;
}

/** Goes through the edits of a batch. */
export class BatchReader {
  kind: number = EditKind.Put;
  bucket = '';
  /** Milliseconds; 0: it does not expire. */
  ttlMs = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #varints: VarintReader;
  #keyStart = 0;
  #keyEnd = 0;
  #valueStart = 0;
  #valueEnd = 0;

  constructor(edits: Uint8Array) {
    this.#bytes = edits;
    this.#view = new DataView(edits.buffer, edits.byteOffset, edits.length);
    this.#varints = new VarintReader(edits, 1);
  }

  /** To the next edit; false when there is none. @throws EnvelopeError `FORMAT` when the bytes are not those of edits. */
  next(): boolean {
    const varints = this.#varints;
    if (varints.offset >= this.#bytes.length) return false;
    const head = this.#bytes[varints.offset++];
    this.kind = head & KIND_MASK;
    if ((head & ~NAMES_BUCKET) !== this.kind || this.kind === 0) throw malformed(`unknown edit ${head}`);
    if ((head & NAMES_BUCKET) !== 0) {
      const end = this.#field(BUCKET_BYTES_MAX);
      this.bucket = fromUtf8(this.#bytes.subarray(varints.offset, end));
      varints.offset = end;
    } else if (this.bucket === '') throw malformed('its first edit names no bucket');
    this.#keyEnd = this.#field(this.#bytes.length);
    this.#keyStart = varints.offset;
    varints.offset = this.#keyEnd;
    this.ttlMs = 0;
    if (this.kind === EditKind.Delete) return true;
    if (this.kind === EditKind.PutForTime) {
      this.ttlMs = varints.read();
      if (!(this.ttlMs >= 1 && this.ttlMs <= TIME_MS_MAX) || this.#bytes[0] !== 1)
        throw malformed('a time to live is not one');
    }
    this.#valueEnd = this.#field(this.#bytes.length);
    this.#valueStart = varints.offset;
    varints.offset = this.#valueEnd;
    return true;
  }

  /** A view of the edits. */
  get key(): Uint8Array {
    return this.#bytes.subarray(this.#keyStart, this.#keyEnd);
  }

  /** A view of the edits; of a put. */
  get value(): Uint8Array {
    return this.#bytes.subarray(this.#valueStart, this.#valueEnd);
  }

  /** Puts what is at hand, which never expires. */
  putInto(keys: LastingPuts): void {
    keys.putLasting(
      this.bucket,
      this.#bytes,
      this.#view,
      this.#keyStart,
      this.#keyEnd,
      this.#valueStart,
      this.#valueEnd,
    );
  }

  /** Where the field that begins with its length ends; `#varints` stands at its first byte then. */
  #field(bytesMax: number): number {
    const length = this.#varints.read();
    const end = this.#varints.offset + length;
    if (length < 0 || length > bytesMax || end > this.#bytes.length) throw malformed('a field is cut short');
    return end;
  }
}

/** Whether the time of the state machine matters to it. */
export function expires(edits: Uint8Array): boolean {
  return edits[0] === 1;
}

/** @throws EnvelopeError `FORMAT` */
export function checkEdits(edits: Uint8Array): void {
  if (edits.length === 0 || edits[0] > 1) throw malformed('its first byte says nothing');
  const reader = new BatchReader(edits);
  while (reader.next());
}

function malformed(what: string): EnvelopeError {
  return new EnvelopeError('FORMAT', `a batch is malformed: ${what}`);
}
