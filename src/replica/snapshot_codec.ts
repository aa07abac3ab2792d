/**
 * What nodes say to each other when one fetches the state of another, or compares its own with it
 * (`state_comparison.ts`), as plain arrays for MessagePack, and the records inside a chunk: varint key length, key, varint sequence number, varint value length, value; ascending by key.
 */
import { EnvelopeError } from '../base/errors.ts';
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from '../codec/varint.ts';
import type { WindowDigest } from '../kv/state_digest.ts';
import type { Index, Term } from '../log/entry.ts';
import { type Cursor, RecordKind } from '../lsm/record.ts';

export type SnapshotMessage =
  | RangeFetch
  | RangeChunk
  | DigestMessage
  /** "Send me chunk `number`, the records behind `after`." `index`: of the snapshot, once it is known; 0: of any. */
  | { readonly type: 'fetch'; readonly index: Index; readonly number: number; readonly after: Uint8Array }
  /** `number` -1: that snapshot is not held any more, begin anew. */
  | {
      readonly type: 'chunk';
      readonly index: Index;
      readonly term: Term;
      readonly number: number;
      readonly records: Uint8Array;
      readonly isLast: boolean;
    };

/** "Send me chunk `number` of the live keys `[low, end)`, as you hold them now; the records behind `after`." */
export interface RangeFetch {
  readonly type: 'range-fetch';
  /** Drawn for each attempt: an answer to an earlier one is not taken for one to this. */
  readonly request: number;
  readonly low: Uint8Array;
  /** Null: up to the last key. */
  readonly end: Uint8Array | null;
  /** Entries up to here must be in it. */
  readonly atLeast: Index;
  readonly number: number;
  readonly after: Uint8Array;
}

export interface RangeChunk {
  readonly type: 'range-chunk';
  readonly request: number;
  /** The last log entry that is in it, and its term. */
  readonly index: Index;
  readonly term: Term;
  /** -1: it can't be had here, or not any more; begin anew. */
  readonly number: number;
  readonly records: Uint8Array;
  readonly isLast: boolean;
}

export type DigestMessage =
  /** "This is what my state machine has done in these windows." See `StateDigest`. */
  | {
      readonly type: 'state-digests';
      readonly windowEntries: number;
      /** Ascending. */
      readonly windows: readonly WindowDigest[];
    }
  /** "In the window that ends at `index` mine has done something else." */
  | {
      readonly type: 'state-differs';
      readonly index: Index;
      /** The sender's. */
      readonly digest: number;
      /** As the receiver has told it. */
      readonly told: number;
    }
  /** "What has your state machine done in the window that ends at `index`?" */
  | { readonly type: 'state-question'; readonly windowEntries: number; readonly index: Index }
  | {
      readonly type: 'state-answer';
      readonly windowEntries: number;
      readonly index: Index;
      /** The sender's. */
      readonly digest: number;
    };

/** Whether it is for `StateComparison`. */
export function isAboutDigests(message: SnapshotMessage): message is DigestMessage {
  const { type } = message;
  return (
    type === 'state-digests' ||
    type === 'state-differs' ||
    type === 'state-question' ||
    type === 'state-answer'
  );
}

const FETCH = 1;
const CHUNK = 2;
const RANGE_FETCH = 12;
const RANGE_CHUNK = 13;
const STATE_DIGESTS = 14;
const STATE_DIFFERS = 15;
const STATE_QUESTION = 16;
const STATE_ANSWER = 17;
/** More are not sent, and not taken. */
const WINDOWS_MAX = 64;

export function encodeSnapshotMessage(message: SnapshotMessage): unknown[] {
  if (message.type === 'fetch') return [FETCH, message.index, message.number, message.after];
  if (message.type === 'range-fetch') {
    const { request, low, end, atLeast, number, after } = message;
    return [RANGE_FETCH, request, low, end, atLeast, number, after];
  }
  if (message.type === 'range-chunk') {
    const { request, index, term, number, records, isLast } = message;
    return [RANGE_CHUNK, request, index, term, number + 1, records, isLast];
  }
  if (message.type === 'state-digests') {
    const { windowEntries, windows } = message;
    return [
      STATE_DIGESTS,
      windowEntries,
      windows.map(({ index }) => index),
      windows.map(({ digest }) => digest),
    ];
  }
  if (message.type === 'state-differs') {
    return [STATE_DIFFERS, message.index, message.digest, message.told];
  }
  if (message.type === 'state-question') return [STATE_QUESTION, message.windowEntries, message.index];
  if (message.type === 'state-answer') {
    return [STATE_ANSWER, message.windowEntries, message.index, message.digest];
  }
  const { index, term, number, records, isLast } = message;
  return [CHUNK, index, term, number + 1, records, isLast];
}

/**
 * @returns null for what only a later version says: none of it is needed for consensus, and a connection that was broken off
 * because of it would be.
 * @throws EnvelopeError `FORMAT`
 */
export function decodeSnapshotMessage(fields: readonly unknown[]): SnapshotMessage | null {
  const [type, index] = fields;
  if (typeof type === 'number' && type > STATE_ANSWER) return null;
  if (type === FETCH && fields.length === 4) {
    return { type: 'fetch', index: unsigned(index), number: unsigned(fields[2]), after: bytes(fields[3]) };
  }
  if (type === RANGE_FETCH && fields.length === 7) {
    return {
      type: 'range-fetch',
      request: unsigned(fields[1]),
      low: bytes(fields[2]),
      end: fields[3] === null ? null : bytes(fields[3]),
      atLeast: unsigned(fields[4]),
      number: unsigned(fields[5]),
      after: bytes(fields[6]),
    };
  }
  if (type === RANGE_CHUNK && fields.length === 7) {
    return {
      type: 'range-chunk',
      request: unsigned(fields[1]),
      index: unsigned(fields[2]),
      term: unsigned(fields[3]),
      number: unsigned(fields[4]) - 1,
      records: bytes(fields[5]),
      isLast: fields[6] === true,
    };
  }
  if (type === STATE_DIGESTS && fields.length === 4) {
    const indices = integers(fields[2]);
    const digests = integers(fields[3]);
    if (indices.length !== digests.length) throw malformed('not a digest for each window');
    return {
      type: 'state-digests',
      windowEntries: unsigned(fields[1]),
      windows: indices.map((end, at) => ({ index: end, digest: digests[at] })),
    };
  }
  if (type === STATE_DIFFERS && fields.length === 4) {
    return {
      type: 'state-differs',
      index: unsigned(index),
      digest: unsigned(fields[2]),
      told: unsigned(fields[3]),
    };
  }
  if (type === STATE_QUESTION && fields.length === 3) {
    return { type: 'state-question', windowEntries: unsigned(fields[1]), index: unsigned(fields[2]) };
  }
  if (type === STATE_ANSWER && fields.length === 4) {
    return {
      type: 'state-answer',
      windowEntries: unsigned(fields[1]),
      index: unsigned(fields[2]),
      digest: unsigned(fields[3]),
    };
  }
  if (type !== CHUNK || fields.length !== 6) throw malformed(`unknown type ${String(type)}`);
  const number = unsigned(fields[3]) - 1;
  const isLast = fields[5] === true;
  return {
    type: 'chunk',
    index: unsigned(index),
    term: unsigned(fields[2]),
    number,
    records: bytes(fields[4]),
    isLast,
  };
}

/** Room for what the last record of a chunk may take beyond it, most often. */
const OVERSHOOT_BYTES = 4096;

/** Packs live records from where the cursor stands until they take `bytesMax` or more; the cursor stands behind them. */
export function packRecords(records: Cursor, bytesMax: number): Uint8Array {
  let target: Uint8Array = new Uint8Array(bytesMax + OVERSHOOT_BYTES);
  let at = 0;
  for (; records.isValid && at < bytesMax; records.next()) {
    if (records.kind === RecordKind.Tombstone) continue;
    const { key, sequence, value } = records;
    const end = at + key.length + value.length + 3 * VARINT_BYTES_MAX;
    if (end > target.length) target = grown(target, at, end);
    at = writeVarint(target, at, key.length);
    target.set(key, at);
    at = writeVarint(target, at + key.length, sequence);
    at = writeVarint(target, at, value.length);
    target.set(value, at);
    at += value.length;
  }
  return target.subarray(0, at);
}

function grown(bytes: Uint8Array, used: number, size: number): Uint8Array {
  const larger = new Uint8Array(size);
  larger.set(bytes.subarray(0, used));
  return larger;
}

/** A copy; null when the chunk is empty. @throws EnvelopeError `FORMAT` when a record in it is malformed. */
export function lastKeyIn(packed: Uint8Array): Uint8Array | null {
  const reader = new VarintReader(packed);
  let start = 0;
  let end = -1;
  while (reader.offset < packed.length) {
    const keyLength = reader.read();
    start = reader.offset;
    end = keyLength < 0 ? Number.POSITIVE_INFINITY : start + keyLength;
    reader.offset = end;
    const sequence = reader.read();
    const valueLength = reader.read();
    reader.offset += valueLength;
    if (sequence < 0 || valueLength < 0 || reader.offset > packed.length)
      throw malformed('a record is cut short');
  }
  return end < 0 ? null : packed.slice(start, end);
}

/** Goes through the records of a chunk. @throws EnvelopeError `FORMAT` */
export class RecordUnpacker {
  key: Uint8Array = new Uint8Array(0);
  sequence: Index = 0;
  value: Uint8Array = new Uint8Array(0);
  readonly #bytes: Uint8Array;
  readonly #reader: VarintReader;

  constructor(packed: Uint8Array) {
    this.#bytes = packed;
    this.#reader = new VarintReader(packed);
  }

  /** False at the end. */
  next(): boolean {
    if (this.#reader.offset === this.#bytes.length) return false;
    this.key = this.#take(this.#reader.read());
    this.sequence = this.#reader.read();
    this.value = this.#take(this.#reader.read());
    if (this.sequence < 0) throw malformed('a record is cut short');
    return true;
  }

  #take(length: number): Uint8Array {
    const start = this.#reader.offset;
    if (length < 0 || start + length > this.#bytes.length) throw malformed('a record is cut short');
    this.#reader.offset = start + length;
    return this.#bytes.subarray(start, start + length);
  }
}

function unsigned(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw malformed('a field is not an unsigned integer');
}

function integers(value: unknown): number[] {
  if (!Array.isArray(value) || value.length > WINDOWS_MAX) throw malformed('a field is not a short list');
  return value.map(unsigned);
}

function bytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw malformed('a field is not a byte string');
}

function malformed(what: string): EnvelopeError {
  return new EnvelopeError('FORMAT', `a snapshot message is malformed: ${what}`);
}
