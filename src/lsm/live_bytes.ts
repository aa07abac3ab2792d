/**
 * How many of the tables' bytes hold what a read of now can see, between two bounds that the tables tell without being read.
 *
 * At most: what is left when, of each table, the share of its records that are tombstones or superseded within it is taken
 * away, and all of a table that lies within a range tombstone of something newer.
 * At least: the same, when each table whose keys overlap those of an older one is taken to hold nothing but new versions of
 * what is there (RocksDB's `estimate-live-data-size`). With one run both are the same.
 */
import { compareBytes } from '../codec/bytes.ts';
import type { RangeTombstones } from './range_tombstones.ts';
import { type Borders, firstEndingBehind, type Table } from './table.ts';
import type { Version } from './version.ts';

export interface LiveBytes {
  readonly min: number;
  readonly max: number;
}

/** @param covers Range tombstones of memtables. */
export function liveBytes({ runs }: Version, covers: readonly RangeTombstones[]): LiveBytes {
  const newer = [...covers];
  const live = new Map<Table, number>();
  for (const { tables } of runs) {
    for (const table of tables) {
      if (!newer.some((ranges) => coversAll(ranges, table)))
        live.set(table, liveShare(table) * table.sizeBytes);
    }
    for (const { readerOrNull } of tables) {
      if (readerOrNull !== null && readerOrNull.ranges !== null) newer.push(readerOrNull.ranges);
    }
  }
  let max = 0;
  for (const bytes of live.values()) max += bytes;
  let min = 0;
  /** Those of older runs that count, in order; they do not overlap. */
  const counted: Borders[] = [];
  for (let at = runs.length - 1; at >= 0; at--) {
    for (const table of runs[at].tables) {
      const bytes = live.get(table);
      if (bytes === undefined) continue;
      const place = firstEndingBehind(counted, table.low);
      if (place < counted.length && compareBytes(counted[place].low, table.end) < 0) continue;
      counted.splice(place, 0, table);
      min += bytes;
    }
  }
  return { min: Math.round(min), max: Math.round(max) };
}

/** A damaged table counts as live. */
function liveShare({ readerOrNull }: Table): number {
  if (readerOrNull === null) return 1;
  const { records, tombstones, superseded } = readerOrNull.properties;
  return records === 0 ? 0 : Math.max(0, records - tombstones - superseded) / records;
}

function coversAll({ fragments }: RangeTombstones, { low, end }: Borders): boolean {
  let border = low;
  for (const { gte, lt } of fragments) {
    if (compareBytes(lt, border) <= 0) continue;
    if (compareBytes(gte, border) > 0) return false;
    if (compareBytes(lt, end) >= 0) return true;
    border = lt;
  }
  return false;
}
