/** What a store can be told, and what it tells about itself. `docs/storage.md` explains the limits. */

import { EnvelopeError } from '../base/errors.ts';
import type { Clock } from '../io/clock.ts';
import type { Compression } from '../io/compression.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import { BlockCache } from './block_cache.ts';
import { DirectorySync } from './directory_sync.ts';
import type { ExpiryRule } from './expiry.ts';
import type { LiveBytes } from './live_bytes.ts';
import { checkOptions } from './option_limits.ts';
import type { RunBuilder } from './run_builder.ts';

/**
 * - `levelled`: little space, few places to look at; what is written is rewritten some ten times for each level;
 * - `size-tiered`: runs of like size are merged; what is written is rewritten less often, space and reads pay for it.
 */
export type CompactionStrategy = 'levelled' | 'size-tiered';

export interface StoreOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A memtable that has grown to this many bytes is flushed. */
  readonly memtableBytes?: number;
  /** Data blocks are closed when they reach this many bytes. */
  readonly blockBytes?: number;
  /** Records between restart points of a block. */
  readonly restartInterval?: number;
  /** 0: no filter. */
  readonly filterBitsPerKey?: number;
  /** With so many memtables waiting for their flush, `writable` is false. */
  readonly immutableMemtablesMax?: number;
  readonly compaction?: CompactionStrategy;
  /** Levelled: with so many runs in level 0 they are merged into level 1. Size-tiered: so many runs are too many. */
  readonly mergeAtTables?: number;
  /** A table ends when its data reach this many bytes. */
  readonly tableBytes?: number;
  /** Levelled: what level 1 should hold at most, in bytes. */
  readonly levelBytes?: number;
  /** Levelled: how many times as much each level may hold as the one above it. */
  readonly levelGrowth?: number;
  /** From so many runs on (in level 0, or of all when size-tiered) `pressure` is `slow`, and `stop`. */
  readonly slowAtRuns?: number;
  readonly stopAtRuns?: number;
  /** With so many bytes above what levels should hold, `pressure` is `slow`, and `stop`. */
  readonly slowAtDebtBytes?: number;
  readonly stopAtDebtBytes?: number;
  /** Bytes of records that background work handles at a time. */
  readonly stepBytes?: number;
  /** When the disk had no space, background work is tried again after this long. */
  readonly outOfSpaceRetryMs?: number;
  /**
   * What becomes of a table that is found damaged. `refuse`: the store does not open, or its background work ends.
   * `quarantine`: its keys give errors, and everything else goes on.
   */
  readonly damagedTables?: 'refuse' | 'quarantine';
  /**
   * Budget for blocks that point reads have used; 0: none. Of use where files cannot be mapped; where they are, the
   * system's own cache does the same for nothing. With compression it spares decompressing, and is 32 MiB unless said
   * otherwise.
   */
  readonly blockCacheBytes?: number;
  /** How fast tables are read through for damage, in bytes a second; 0: never. */
  readonly scrubBytesPerSecond?: number;
  /** Who writes tables; null: the store's own thread, in steps. */
  readonly runBuilder?: RunBuilder | null;
  /**
   * By what rule values expire, so that merges drop them; null: none does, or the owner deletes them itself. A `runBuilder`
   * must have the same rule.
   */
  readonly expiry?: ExpiryRule | null;
  /** The name of one of `compressions`: how data blocks of new tables are compressed; null: not at all. */
  readonly compression?: string | null;
  /** Those that are known: tables that need another one cannot be read. A `runBuilder` must know the same. */
  readonly compressions?: readonly Compression[];
}

/**
 * Whether writers should hold back. `slow`: compaction falls behind; a writer that waits a millisecond for each batch lets
 * it catch up. `stop`: the same as `writable` being false.
 */
export type WritePressure = 'none' | 'slow' | 'stop';

/** A compaction under way. */
export interface CompactionProgress {
  /** That its tables go to. */
  readonly level: number;
  readonly inputBytes: number;
  /** About so many of them have been read; compressed tables count more than they have. */
  readonly doneBytes: number;
  /** Somebody has asked for all tables to be merged. */
  readonly isOfAll: boolean;
}

export interface LevelStatistics {
  readonly level: number;
  readonly runs: number;
  readonly tables: number;
  readonly bytes: number;
}

/** With everything set, and what its parts share: the cache, and who makes names of files durable. */
export type StoreSettings = Omit<StoreOptions, 'compression'> &
  Omit<typeof DEFAULTS, 'compression'> & {
    readonly compression: Compression | null;
    readonly blockCache: BlockCache | null;
    readonly names: DirectorySync;
  };

export interface StoreStatistics {
  readonly tables: number;
  readonly tableBytes: number;
  readonly memtableBytes: number;
  readonly flushes: number;
  /** Compactions that wrote tables, and tables that only moved a level down. */
  readonly merges: number;
  readonly moves: number;
  /** Bytes of keys and values that writes brought since the store was opened. */
  readonly writtenBytes: number;
  /**
   * Bytes of tables written by flushes, and by compactions: both together, divided by `writtenBytes`, are the write
   * amplification.
   */
  readonly flushedBytes: number;
  readonly mergedBytes: number;
  /** Records in tables and memtables, superseded ones and tombstones included. */
  readonly entries: number;
  readonly tombstones: number;
  readonly rangeTombstones: number;
  readonly levels: readonly LevelStatistics[];
  /** Of all open tables: what is kept in memory of their indexes, and their filters, in bytes. */
  readonly indexBytes: number;
  readonly filterBytes: number;
  /** Bytes above what levels should hold. */
  readonly debtBytes: number;
  /** Flushes and compactions under way, 0 to 2; with none, nothing is due. */
  readonly backgroundJobs: number;
  readonly pressure: WritePressure;
  readonly snapshots: number;
  readonly quarantinedTables: number;
  /** Lookups of blocks in the block cache, and bytes in it. */
  readonly blockCacheHits: number;
  readonly blockCacheMisses: number;
  readonly blockCacheBytes: number;
  /** Bytes that the scrubber has read, and how often it has been through all tables. */
  readonly scrubbedBytes: number;
  readonly scrubs: number;
  /** Point reads that no memtable could answer, and what the filters of tables were good for: see `ReadCounters`. */
  readonly tableReads: number;
  readonly filterNegatives: number;
  readonly filterTruePositives: number;
  readonly filterFalsePositives: number;
  /** Of `tableBytes`: bounds of what a read of now can see. See `live_bytes.ts`. */
  readonly liveBytes: LiveBytes;
  readonly isFlushing: boolean;
  /** Null: none is under way. */
  readonly compaction: CompactionProgress | null;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
export const DEFAULTS = {
  memtableBytes: 16 * MIB,
  blockBytes: 4 * KIB,
  restartInterval: 16,
  filterBitsPerKey: 10,
  immutableMemtablesMax: 2,
  compaction: 'levelled' as CompactionStrategy,
  mergeAtTables: 4,
  tableBytes: 32 * MIB,
  levelBytes: 64 * MIB,
  levelGrowth: 10,
  slowAtRuns: 12,
  stopAtRuns: 24,
  slowAtDebtBytes: GIB,
  stopAtDebtBytes: 4 * GIB,
  stepBytes: 64 * KIB,
  outOfSpaceRetryMs: 1000,
  damagedTables: 'refuse' as 'refuse' | 'quarantine',
  blockCacheBytes: 0,
  scrubBytesPerSecond: 0,
  runBuilder: null as RunBuilder | null,
  expiry: null as ExpiryRule | null,
  compression: null as string | null,
  compressions: [] as readonly Compression[],
};
/** What is decompressed once and again is worth keeping. */
const BLOCK_CACHE_WITH_COMPRESSION_BYTES = 32 * MIB;

/** @throws EnvelopeError `INVALID` when an option is out of its range, or a compression is wanted that is not known. */
export function settingsOf(options: StoreOptions): StoreSettings {
  const settings = { ...DEFAULTS, ...options };
  checkOptions(settings);
  const { disk, directory } = settings;
  const compression = compressionOf(settings);
  const blockCacheBytes =
    options.blockCacheBytes ??
    (compression === null ? DEFAULTS.blockCacheBytes : BLOCK_CACHE_WITH_COMPRESSION_BYTES);
  const blockCache = blockCacheBytes > 0 ? new BlockCache(blockCacheBytes) : null;
  return { ...settings, compression, blockCacheBytes, blockCache, names: new DirectorySync(disk, directory) };
}

function compressionOf({ compression: name, compressions }: typeof DEFAULTS): Compression | null {
  if (name === null) return null;
  const found = compressions.find((one) => one.name === name);
  if (found !== undefined) return found;
  const known = compressions.map((one) => one.name).join(', ');
  throw new EnvelopeError('INVALID', `no compression is named '${name}' here: there are ${known || 'none'}`);
}
