/**
 * What the store keeps for a key: a small header, then the user's bytes.
 *
 * | bytes  | field                                                        |
 * | 1      | 1: the value never expires; 2: it does                       |
 * | varint | revision: index of the log entry that wrote the value        |
 * | varint | only after 2: when it expires, in milliseconds since the epoch |
 * | rest   | the value                                                    |
 */
import { CorruptionError } from '../base/errors.ts';
import { copyRange, copyWords, WORDS_BYTES_MAX } from '../codec/bytes.ts';
import { VARINT_BYTES_MAX, writeVarint } from '../codec/varint.ts';
import type { Index } from '../log/entry.ts';

const Form = { Lasting: 1, Expiring: 2 } as const;
const HEADER_BYTES_MAX = 1 + 2 * VARINT_BYTES_MAX;

/** What most values fit into: writing one then allocates nothing. The store copies what it is given. */
const SCRATCH_BYTES = 16 * 1024;
const scratch = new Uint8Array(SCRATCH_BYTES);
const scratchView = new DataView(scratch.buffer);
/** Of what was encoded last: values are often as long as the one before. */
let lent = scratch.subarray(0, 0);

export const NEVER = 0;

export class StoredValue {
  readonly revision: Index;
  /** `NEVER` or a point in time. */
  readonly expiresAtMs: number;
  /** The value is `[start, end)` of these. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;

  constructor(bytes: Uint8Array, start: number, end: number, revision: Index, expiresAtMs: number) {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.revision = revision;
    this.expiresAtMs = expiresAtMs;
  }

  get length(): number {
    return this.end - this.start;
  }

  /** A view of what the store handed out. */
  get value(): Uint8Array {
    return this.bytes.subarray(this.start, this.end);
  }

  copy(): Uint8Array {
    return this.bytes.slice(this.start, this.end);
  }
}

/** The bytes are valid until the next call. */
export function encodeStored(value: Uint8Array, revision: Index, expiresAtMs: number): Uint8Array {
  return encodeStoredRange(value, 0, value.length, revision, expiresAtMs);
}

/**
 * As `encodeStored` of `source[start, end)`.
 *
 * @param view Of `source`, for who has many to encode: then most are copied faster.
 */
export function encodeStoredRange(
  source: Uint8Array,
  start: number,
  end: number,
  revision: Index,
  expiresAtMs: number,
  view: DataView | null = null,
): Uint8Array {
  const length = end - start;
  const size = HEADER_BYTES_MAX + length;
  const bytes = size <= SCRATCH_BYTES ? scratch : new Uint8Array(size);
  bytes[0] = expiresAtMs === NEVER ? Form.Lasting : Form.Expiring;
  let at = writeVarint(bytes, 1, revision);
  if (expiresAtMs !== NEVER) at = writeVarint(bytes, at, expiresAtMs);
  if (view !== null && length <= WORDS_BYTES_MAX) copyWords(scratchView, at, view, start, end);
  else copyRange(bytes, at, source, start, end);
  at += length;
  if (bytes !== scratch) return bytes.subarray(0, at);
  if (lent.length !== at) lent = scratch.subarray(0, at);
  return lent;
}

/** False: what the bytes stand for never expires. */
export function mayExpire(bytes: Uint8Array): boolean {
  return bytes[0] === Form.Expiring;
}

/** @throws CorruptionError when a header is not one: the record's checksum held, so it was never written by us. */
export function decodeStored(bytes: Uint8Array): StoredValue {
  return decodeStoredAt(bytes, 0, bytes.length);
}

/**
 * As `decodeStored` of `bytes.subarray(start, end)`. Reads the varints of the header by hand: every read of a key comes by
 * here.
 */
export function decodeStoredAt(bytes: Uint8Array, start: number, end: number): StoredValue {
  const form = start < end ? bytes[start] : 0;
  const headerEnd = Math.min(end, start + HEADER_BYTES_MAX);
  let at = start + 1;
  let revision = 0;
  let scale = 1;
  let byte = 0x80;
  while (byte >= 0x80 && at < headerEnd) {
    byte = bytes[at++];
    revision += (byte & 0x7f) * scale;
    scale *= 128;
  }
  let isWhole = byte < 0x80;
  let expiresAtMs = NEVER;
  if (form === Form.Expiring) {
    scale = 1;
    byte = 0x80;
    while (byte >= 0x80 && at < headerEnd) {
      byte = bytes[at++];
      expiresAtMs += (byte & 0x7f) * scale;
      scale *= 128;
    }
    isWhole &&= byte < 0x80;
  } else if (form !== Form.Lasting) isWhole = false;
  if (!isWhole || !Number.isSafeInteger(revision) || !Number.isSafeInteger(expiresAtMs)) {
    throw new CorruptionError('a stored value', 0, 'it has no valid header');
  }
  return new StoredValue(bytes, at, end, revision, expiresAtMs);
}
