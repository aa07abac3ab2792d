// The one import of a node module below the edges: a pure function of bytes, the same on every machine.
import { crc32 as zlibCrc32 } from 'node:zlib';
import CRC32 from 'crc-32';

/** Below this many bytes the call into native code costs more than the table-driven loop in JavaScript. */
const NATIVE_FROM_BYTES = 256;

/** CRC-32 (IEEE 802.3, reflected 0xedb88320) of `bytes`, continued from `seed`; an unsigned 32-bit integer. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  if (bytes.length < NATIVE_FROM_BYTES) return CRC32.buf(bytes, seed) >>> 0;
  return zlibCrc32(bytes, seed);
}
