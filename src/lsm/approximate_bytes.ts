/**
 * How much of the tables a range of keys takes, told by their indexes without reading a block (as LevelDB's
 * `GetApproximateSizes`): whole blocks count, so a range within one block may count as nothing. What only memtables hold does
 * not count; what is deleted or superseded does, until it is compacted. A damaged table counts as nothing.
 */
import type { Version } from './version.ts';

/** Of keys `[low, end)`; null: no such border. In bytes. */
export function approximateBytes({ runs }: Version, low: Uint8Array | null, end: Uint8Array | null): number {
  let bytes = 0;
  for (const run of runs) {
    for (const { readerOrNull } of run.overlapping(low, end)) {
      if (readerOrNull === null) continue;
      const from = low === null ? 0 : readerOrNull.offsetFor(low);
      const to = end === null ? readerOrNull.dataBytes : readerOrNull.offsetFor(end);
      bytes += Math.max(0, to - from);
    }
  }
  return bytes;
}
