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
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from '../codec/varint.ts';
import type { Index } from '../log/entry.ts';

const Form = { Lasting: 1, Expiring: 2 } as const;
const HEADER_BYTES_MAX = 1 + 2 * VARINT_BYTES_MAX;

/** What most values fit into: writing one then allocates nothing. The store copies what it is given. */
const SCRATCH_BYTES = 16 * 1024;
const scratch = new Uint8Array(SCRATCH_BYTES);

export const NEVER = 0;

export interface StoredValue {
  /** A view of what the store handed out. */
  readonly value: Uint8Array;
  readonly revision: Index;
  /** `NEVER` or a point in time. */
  readonly expiresAtMs: number;
}

/** The bytes are valid until the next call. */
export function encodeStored(value: Uint8Array, revision: Index, expiresAtMs: number): Uint8Array {
  const size = HEADER_BYTES_MAX + value.length;
  const bytes = size <= SCRATCH_BYTES ? scratch : new Uint8Array(size);
  bytes[0] = expiresAtMs === NEVER ? Form.Lasting : Form.Expiring;
  let at = writeVarint(bytes, 1, revision);
  if (expiresAtMs !== NEVER) at = writeVarint(bytes, at, expiresAtMs);
  bytes.set(value, at);
  return bytes.subarray(0, at + value.length);
}

/** @throws CorruptionError when a header is not one: the record's checksum held, so it was never written by us. */
export function decodeStored(bytes: Uint8Array): StoredValue {
  const form = bytes[0];
  const reader = new VarintReader(bytes, 1);
  const revision = reader.read();
  const expiresAtMs = form === Form.Expiring ? reader.read() : NEVER;
  if ((form !== Form.Lasting && form !== Form.Expiring) || revision < 0 || expiresAtMs < 0) {
    throw new CorruptionError('a stored value', 0, 'it has no valid header');
  }
  return { value: bytes.subarray(reader.offset), revision, expiresAtMs };
}
