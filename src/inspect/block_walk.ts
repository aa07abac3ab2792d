/**
 * Finds the data blocks of a table that has lost its index: a block says nowhere how long it is, but its records can be
 * followed to where none is left, and behind them stands a trailer with a checksum that holds for this block at this place
 * alone. So what is found is a block for certain; what is not found is damaged.
 */

import { crc32 } from '../codec/crc32.ts';
import { crc32Range } from '../codec/crc32_range.ts';
import { VarintReader } from '../codec/varint.ts';
import { countsOf, HINT_BYTES, hintsIn } from '../lsm/block_trailer.ts';
import { readUint32 } from '../lsm/bytes.ts';
import { RecordKind } from '../lsm/record.ts';
import { CRC_BYTES, placeSeed } from '../lsm/table_format.ts';

export interface FoundBlock {
  readonly offset: number;
  /** In bytes, its trailer included. */
  readonly length: number;
}

/** Behind the records: restart points, their number, the checksum. */
const TRAILER_BYTES_MIN = 12;
const RECORD_BYTES_MIN = 9;

/** Blocks within the first `end` bytes of a table, in order. What lies between them is damaged, or no block. */
export function* walkBlocks(bytes: Uint8Array, end: number, table: number): Generator<FoundBlock> {
  let offset = 0;
  while (offset + RECORD_BYTES_MIN + TRAILER_BYTES_MIN <= end) {
    const length = blockLengthAt(bytes, offset, end, table);
    if (length === null) {
      offset++;
      continue;
    }
    yield { offset, length };
    offset += length;
  }
}

/** Null: no intact block begins here. */
function blockLengthAt(bytes: Uint8Array, offset: number, end: number, table: number): number | null {
  // The first record shares nothing with one before it.
  if (bytes[offset] !== 0) return null;
  const varints = new VarintReader(bytes, offset, end);
  let records = 0;
  let recordsEnd = offset;
  for (;;) {
    varints.offset = recordsEnd;
    varints.read();
    const rest = varints.read();
    const valueLength = varints.read();
    const kind = bytes[varints.offset++];
    const sequence = varints.read();
    const next = varints.offset + 4 + rest + valueLength;
    const isRecord = rest >= 0 && valueLength >= 0 && sequence >= 0 && next <= end;
    if (!isRecord || (kind !== RecordKind.Put && kind !== RecordKind.Tombstone)) break;
    records++;
    recordsEnd = next;
  }
  if (records === 0 || recordsEnd + TRAILER_BYTES_MIN > end || readUint32(bytes, recordsEnd) !== 0)
    return null;
  const seed = placeSeed(table, offset);
  // No more restart points than records; most numbers are ruled out without a checksum.
  for (let restarts = 1; restarts <= records; restarts++) {
    const hintsAt = recordsEnd + 4 * restarts;
    const found =
      lengthWith(bytes, offset, hintsAt, end, countsOf(restarts, records), seed) ??
      lengthWith(bytes, offset, hintsAt, end, countsOf(restarts, 0), seed);
    if (found !== null) return found;
  }
  return null;
}

/** The length of the block if these are its counts, and its checksum holds. */
function lengthWith(
  bytes: Uint8Array,
  offset: number,
  hintsAt: number,
  end: number,
  counts: number,
  seed: number,
): number | null {
  const countsAt = hintsAt + HINT_BYTES * hintsIn(counts);
  if (countsAt + 8 > end || readUint32(bytes, countsAt) !== counts) return null;
  const sum = crc32(bytes.subarray(offset, countsAt + 4), seed);
  return sum === readUint32(bytes, countsAt + 4) ? countsAt + 8 - offset : null;
}

/**
 * Of a block that may be compressed: how long it would be if it began here and no further than `end`, by the first place
 * where four bytes are the checksum of all before them. Among so many places one may fit by chance: only a block whose
 * records can all be read is one. Null: there is no such place. O(bytes).
 */
export function packedLengthAt(bytes: Uint8Array, offset: number, end: number, table: number): number | null {
  let sum = placeSeed(table, offset);
  for (let at = offset; at + CRC_BYTES <= end; at++) {
    if (at > offset && readUint32(bytes, at) === sum) return at + CRC_BYTES - offset;
    sum = crc32Range(bytes, at, at + 1, sum);
  }
  return null;
}
