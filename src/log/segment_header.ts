/**
 * A segment is one file of the log: this header, then records. Numbers are little-endian.
 *
 *      0         4         8         12        16              24        28        32
 *      | magic   | version | segment | zero    | end of the    | zero    | header  |
 *      | "ELSG"  | u32     | u32     | u32     | previous, u64 | u32     | crc u32 |
 *
 * A segment is only begun when every byte of the one before is durable; so a segment's existence attests that the one
 * before it is whole, and its header says where that one ends (0 in the first).
 */
import { EnvelopeError } from '../base/errors.ts';
import { crc32 } from '../codec/crc32.ts';
import { getUint53, setUint53 } from './record.ts';

export const SEGMENT_HEADER_BYTES = 32;
const MAGIC = 0x47534c45;
const VERSION = 1;
const CRC_AT = 28;

export interface SegmentHeader {
  readonly segment: number;
  /** Offset behind the last record of the segment before; 0 in the first. */
  readonly previousEnd: number;
}

/** Writes the header to the 32 zero bytes of `target` from `at` on. */
export function writeSegmentHeader(target: Uint8Array, at: number, header: SegmentHeader): void {
  const view = new DataView(target.buffer, target.byteOffset + at, SEGMENT_HEADER_BYTES);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, VERSION, true);
  view.setUint32(8, header.segment, true);
  setUint53(view, 16, header.previousEnd);
  view.setUint32(CRC_AT, crc32(target.subarray(at, at + CRC_AT)), true);
}

/**
 * Reads the header at the start of a file; null when it is not intact.
 * @throws EnvelopeError `LOG_FORMAT` when it is intact but of an unknown version.
 */
export function readSegmentHeader(path: string, bytes: Uint8Array): SegmentHeader | null {
  if (bytes.length < SEGMENT_HEADER_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, SEGMENT_HEADER_BYTES);
  if (view.getUint32(0, true) !== MAGIC) return null;
  if (crc32(bytes.subarray(0, CRC_AT)) !== view.getUint32(CRC_AT, true)) return null;
  const version = view.getUint32(4, true);
  if (version !== VERSION) {
    throw new EnvelopeError(
      'LOG_FORMAT',
      `${path} is a log segment of unknown version ${version}: a later version of the program wrote it`,
    );
  }
  return { segment: view.getUint32(8, true), previousEnd: getUint53(view, 16) };
}

/** `000001.log` for segment 1; numbers beyond six digits get longer names. */
export function segmentName(segment: number): string {
  return `${String(segment).padStart(6, '0')}.log`;
}

export function segmentPath(directory: string, segment: number): string {
  return `${directory}/${segmentName(segment)}`;
}

/** The segments among the names of a directory, ascending. */
export function segmentNumbers(names: readonly string[]): number[] {
  const numbers: number[] = [];
  for (const name of names) {
    const number = /^\d{6,}\.log$/.test(name) ? Number.parseInt(name, 10) : 0;
    if (number > 0 && segmentName(number) === name) numbers.push(number);
  }
  return numbers.sort((a, b) => a - b);
}
