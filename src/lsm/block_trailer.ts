/**
 * What stands behind the records of a data block, and by what lookups find their way in it:
 *
 *   u32 where each restart point is | hints | u32 how many restart points there are, and how many hints | u32 CRC
 *
 * Hints: a byte of the hash of each record's key | u16 where each record begins. They lead to a record without a look at
 * those before it, each of which may be a miss of the processor's cache. They only say where to look first: see
 * `block_lookup.ts`. A block has one for each record, or none: when it is larger than places of 16 bits reach, or was
 * written before there were any.
 */

export const HINT_BYTES = 3;
/** Records that end behind this have no hints. */
export const HINTED_BYTES_MAX = 0xffff;
export const HINTS_MAX = 0x7fff;
const HAS_HINTS = 0x8000_0000;
const HINTS_SHIFT = 16;
/** Of the number of restart points: below the bits that count hints. */
const HINTED_RESTARTS_MASK = 0xffff;

/** Of a block with hints there are no more restart points than records. */
export function countsOf(restarts: number, hints: number): number {
  return hints === 0 ? restarts : (HAS_HINTS | (hints << HINTS_SHIFT) | restarts) >>> 0;
}

/** @param counts What `countsOf` has made. */
export function restartsIn(counts: number): number {
  return counts >= HAS_HINTS ? counts & HINTED_RESTARTS_MASK : counts;
}

export function hintsIn(counts: number): number {
  return counts >= HAS_HINTS ? (counts >>> HINTS_SHIFT) & HINTS_MAX : 0;
}

/** @param hash `hashKey` of a key. */
export function printOf(hash: number): number {
  return hash >>> 24;
}
