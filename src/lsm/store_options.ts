/** What a store can be told, and what it tells about itself. */
import type { Clock } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';

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
  /** With so many tables, all are merged into one. */
  readonly mergeAtTables?: number;
  /** Bytes of records that background work handles at a time. */
  readonly stepBytes?: number;
}

export interface StoreStatistics {
  readonly tables: number;
  readonly tableBytes: number;
  readonly memtableBytes: number;
  readonly flushes: number;
  readonly merges: number;
  /** Records in tables and memtables, superseded ones and tombstones included. */
  readonly entries: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
export const DEFAULTS = {
  memtableBytes: 16 * MIB,
  blockBytes: 4 * KIB,
  restartInterval: 16,
  filterBitsPerKey: 10,
  immutableMemtablesMax: 2,
  mergeAtTables: 8,
  stepBytes: 64 * KIB,
};
