/** What an embedded store tells about itself: what its engine and its log count, and what follows from that. */
import type { StoreStatistics } from '../lsm/store.ts';

/** What only the engine knows. */
interface EngineCounts {
  /** Of the log's segments that are there. */
  readonly logBytes: number;
  /** Bytes of records written to the log since the store was opened, and its syncs. */
  readonly logWrittenBytes: number;
  readonly logSyncs: number;
  /** How often writes had to wait for flushes or compactions, and how long in all. */
  readonly stalls: number;
  readonly stalledMs: number;
  /** Writes that wait now, for that or for the next turn of the event loop. */
  readonly waitingWrites: number;
}

/** Counts are since the store was opened; a rate or amplification is null while there is nothing to divide by. */
export interface DatabaseStatistics extends StoreStatistics, EngineCounts {
  /** Bytes written to log and tables for each byte of keys and values that writes brought. */
  readonly writeAmplification: number | null;
  /** Tables whose blocks were looked into for each point read that no memtable could answer. */
  readonly readAmplification: number | null;
  /** Bytes of tables for each that a read can see, at most: see `liveBytes`. */
  readonly spaceAmplification: number | null;
  /** Share of the looks into a table for a key that it does not hold that filters have saved. */
  readonly filterEffectiveness: number | null;
  readonly blockCacheHitRate: number | null;
}

export function databaseStatistics(store: StoreStatistics, engine: EngineCounts): DatabaseStatistics {
  const { writtenBytes, flushedBytes, mergedBytes, tableBytes, tableReads, liveBytes } = store;
  const { filterNegatives, filterTruePositives, filterFalsePositives } = store;
  const { blockCacheHits, blockCacheMisses } = store;
  return {
    ...store,
    ...engine,
    writeAmplification: ratio(engine.logWrittenBytes + flushedBytes + mergedBytes, writtenBytes),
    readAmplification: ratio(filterTruePositives + filterFalsePositives, tableReads),
    spaceAmplification: ratio(tableBytes, liveBytes.min),
    filterEffectiveness: ratio(filterNegatives, filterNegatives + filterFalsePositives),
    blockCacheHitRate: ratio(blockCacheHits, blockCacheHits + blockCacheMisses),
  };
}

function ratio(part: number, whole: number): number | null {
  return whole > 0 ? part / whole : null;
}
