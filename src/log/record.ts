/**
 * The layout of a record, shared by its writer and its reader. All numbers are little-endian.
 *
 *      0        3        4        5        6        8        12       16      24      32       36       40
 *      | magic  | version| record | entry  | term   | group  | length | index | term  | payload| header | payload,
 *      | "ELR"  | u8     | kind u8| kind u8| before | u32    | u32    | u64   | u64   | crc u32| crc u32| padding
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
 *
 * A mend is an entry once more, since the record that held it is damaged. It replaces nothing else.
 *
 * A fence says that entries of the group, of terms up to `term`, may have stood before it that nobody can name any more;
 * the group's log goes on behind `index`. Its payload is the term of the entry there, u64.
 *
 * "Term before", of an entry, is a mark of the term of the entry before its index (`termMark`); 0: none was written. It
 * says on whose heels an entry came when damage lies between the two.
 */
export const RECORD_MAGIC = [0x45, 0x4c, 0x52] as const;
export const RECORD_VERSION = 1;

export const RecordKind = { Entry: 1, Marker: 2, Reset: 3, Mend: 4, Fence: 5 } as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

export const RECORD_ALIGNMENT_BYTES = 8;
export const RECORD_HEADER_BYTES = 40;
export const FENCE_PAYLOAD_BYTES = 8;
export const PAYLOAD_BYTES_MAX = 1024 * 1024 * 1024;

export const RecordField = {
  Version: 3,
  RecordKind: 4,
  EntryKind: 5,
  TermBefore: 6,
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

const TERM_MARKS = 0xffff;

/** 1 to 65535. Terms with the same mark are the same, or a multiple of 65535 apart. */
export function termMark(term: number): number {
  return (term % TERM_MARKS) + 1;
}

/** The only term from `lower` to `upper` with this mark; null: there is none, or more than one. */
export function termOfMark(mark: number, lower: number, upper: number): number | null {
  if (mark === 0) return null;
  const back = (termMark(upper) - mark + TERM_MARKS) % TERM_MARKS;
  const term = upper - back;
  return term >= lower && term - TERM_MARKS < lower ? term : null;
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
