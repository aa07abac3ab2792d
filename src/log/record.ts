/**
 * The layout of a record, shared by its writer and its reader. All numbers are little-endian.
 *
 *      0        3        4        5        6        8        12       16      24      32       36       40
 *      | magic  | version| record | entry  | zero   | group  | length | index | term  | payload| header | payload,
 *      | "ELR"  | u8     | kind u8| kind u8| u16    | u32    | u32    | u64   | u64   | crc u32| crc u32| padding
 *
 * `length` counts the payload's bytes; zeros pad the record to a multiple of eight, so that every record starts at one
 * and a scanner can find the next behind a damaged header. The header's checksum covers everything before it: a
 * record whose payload is damaged can still be named and skipped. It is seeded with the record's place, so a record
 * found anywhere but where it was written (a misdirected write, or bytes of a log inside a payload) fails it.
 *
 * A marker is a record without a payload that says what was durable when it was written: every byte of earlier
 * segments, and of segment `term` the bytes below offset `index`. Its group and entry kind are 0.
 *
 * A reset is a record without a payload: the group's log goes on behind `index`, whose entry was of `term`, and all
 * entries before it are void, since a snapshot stands for them.
 */
export const RECORD_MAGIC = [0x45, 0x4c, 0x52] as const;
export const RECORD_VERSION = 1;

export const RecordKind = { Entry: 1, Marker: 2, Reset: 3 } as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

export const RECORD_ALIGNMENT_BYTES = 8;
export const RECORD_HEADER_BYTES = 40;
export const PAYLOAD_BYTES_MAX = 1024 * 1024 * 1024;

export const RecordField = {
  Version: 3,
  RecordKind: 4,
  EntryKind: 5,
  Group: 8,
  Length: 12,
  Index: 16,
  Term: 24,
  PayloadCrc: 32,
  HeaderCrc: 36,
} as const;

const TWO_TO_32 = 2 ** 32;

/** Bytes that a record with such a payload takes in its segment, padding included. */
export function recordBytes(payloadBytes: number): number {
  return RECORD_HEADER_BYTES + Math.ceil(payloadBytes / RECORD_ALIGNMENT_BYTES) * RECORD_ALIGNMENT_BYTES;
}

/** What the header's checksum of a record at this place starts from; differs between any two places of a segment. */
export function placeSeed(segment: number, offset: number): number {
  return (Math.imul(segment, 0x9e3779b1) ^ offset) >>> 0;
}

/** `value` is an integer, 0 to 2^53 - 1. */
export function setUint53(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / TWO_TO_32), true);
}

/** May exceed 2^53 - 1 and then is not exact, in bytes that are not to be trusted. */
export function getUint53(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * TWO_TO_32 + view.getUint32(at, true);
}
