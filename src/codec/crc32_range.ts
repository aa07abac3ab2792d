/**
 * CRC-32 of a piece of an array, without a view of it: making one costs more than the checksum of a short piece. Eight bytes
 * at a time by tables ("slicing by eight", Kounavis and Berry, 2005); long pieces go to native code.
 */
import { crc32 } from './crc32.ts';

const POLYNOMIAL = 0xedb88320;
/** From this many bytes on the call into native code is the faster. */
const NATIVE_FROM_BYTES = 512;
const ROW = 256;

/** Row r: what a byte does to the checksum when r zero bytes follow it. */
const TABLE = ((): Int32Array => {
  const table = new Int32Array(8 * ROW);
  for (let byte = 0; byte < ROW; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    table[byte] = crc;
  }
  for (let at = ROW; at < 8 * ROW; at++) {
    const before = table[at - ROW];
    table[at] = (before >>> 8) ^ table[before & 0xff];
  }
  return table;
})();

/** As `crc32` of `bytes.subarray(start, end)`. */
export function crc32Range(bytes: Uint8Array, start: number, end: number, seed = 0): number {
  if (end - start >= NATIVE_FROM_BYTES) return crc32(bytes.subarray(start, end), seed);
  const table = TABLE;
  let crc = ~seed;
  let at = start;
  for (const last = end - 8; at <= last; at += 8) {
    crc =
      table[7 * ROW + (bytes[at] ^ (crc & 0xff))] ^
      table[6 * ROW + (bytes[at + 1] ^ ((crc >>> 8) & 0xff))] ^
      table[5 * ROW + (bytes[at + 2] ^ ((crc >>> 16) & 0xff))] ^
      table[4 * ROW + (bytes[at + 3] ^ (crc >>> 24))] ^
      table[3 * ROW + bytes[at + 4]] ^
      table[2 * ROW + bytes[at + 5]] ^
      table[ROW + bytes[at + 6]] ^
      table[bytes[at + 7]];
  }
  if (at + 4 <= end) {
    crc =
      table[3 * ROW + (bytes[at] ^ (crc & 0xff))] ^
      table[2 * ROW + (bytes[at + 1] ^ ((crc >>> 8) & 0xff))] ^
      table[ROW + (bytes[at + 2] ^ ((crc >>> 16) & 0xff))] ^
      table[bytes[at + 3] ^ (crc >>> 24)];
    at += 4;
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ table[(crc ^ bytes[at]) & 0xff];
  return ~crc >>> 0;
}
