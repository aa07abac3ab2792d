/** What a store tells about itself, put together from its parts. */
import { debtBytes } from './compaction.ts';
import { liveBytes } from './live_bytes.ts';
import type { Memtable } from './memtable.ts';
import type { LevelStatistics, StoreSettings, StoreStatistics } from './store_options.ts';
import type { Version } from './version.ts';

/** What only the store itself knows. */
type Counted = Pick<
  StoreStatistics,
  | 'writtenBytes'
  | 'flushes'
  | 'flushedBytes'
  | 'merges'
  | 'moves'
  | 'mergedBytes'
  | 'backgroundJobs'
  | 'pressure'
  | 'snapshots'
  | 'scrubbedBytes'
  | 'scrubs'
  | 'tableReads'
  | 'filterNegatives'
  | 'filterTruePositives'
  | 'filterFalsePositives'
  | 'isFlushing'
  | 'compaction'
>;

export function statisticsOf(
  memtables: readonly Memtable[],
  version: Version,
  settings: StoreSettings,
  counted: Counted,
): StoreStatistics {
  const totals = {
    tables: 0,
    tableBytes: 0,
    memtableBytes: 0,
    entries: 0,
    tombstones: 0,
    rangeTombstones: 0,
    quarantinedTables: 0,
    indexBytes: 0,
    filterBytes: 0,
  };
  for (const { entries, usedBytes } of memtables) {
    totals.entries += entries;
    totals.memtableBytes += usedBytes;
  }
  const levels = new Map<number, LevelStatistics>();
  for (const { level, tables, sizeBytes } of version.runs) {
    const before = levels.get(level) ?? { level, runs: 0, tables: 0, bytes: 0 };
    levels.set(level, {
      level,
      runs: before.runs + 1,
      tables: before.tables + tables.length,
      bytes: before.bytes + sizeBytes,
    });
    totals.tables += tables.length;
    totals.tableBytes += sizeBytes;
    for (const { readerOrNull, damage } of tables) {
      if (damage !== null) totals.quarantinedTables++;
      const properties = readerOrNull?.properties;
      totals.entries += properties?.records ?? 0;
      totals.tombstones += properties?.tombstones ?? 0;
      totals.rangeTombstones += properties?.rangeTombstones ?? 0;
      totals.indexBytes += readerOrNull?.indexBytes ?? 0;
      totals.filterBytes += readerOrNull?.filterBytes ?? 0;
    }
  }
  const { blockCache } = settings;
  const covers = memtables.flatMap(({ ranges }) => (ranges === null ? [] : [ranges]));
  return {
    ...totals,
    ...counted,
    levels: [...levels.values()],
    liveBytes: liveBytes(version, covers),
    debtBytes: debtBytes(version, settings),
    blockCacheHits: blockCache?.hits ?? 0,
    blockCacheMisses: blockCache?.misses ?? 0,
    blockCacheBytes: blockCache?.bytes ?? 0,
  };
}
