/**
 * Chooses what is to be merged next. A choice only looks at a version; it changes nothing.
 *
 * Levelled (after LevelDB and RocksDB): level 0 is due when it holds `mergeAtTables` runs, level i when it holds more than
 * `levelBytes * levelGrowth ^ (i - 1)` bytes. The most overdue level goes first, in relation to its limit. Level 0 is merged
 * as a whole with what it overlaps in level 1, or, when nothing overlaps, as where keys come in order, its tables only
 * move. Of a deeper level the table goes that overlaps the least of the next level for its own size, and when it overlaps
 * nothing it only moves.
 *
 * Size-tiered (after RocksDB's universal compaction): with `mergeAtTables` runs something is due. All runs are merged when
 * the newer ones together are twice as large as the oldest; else a row of runs, from the newest on, as long as the next is
 * not larger than all before it together; else the newest two.
 *
 * When nothing else is due, a table of which a good part has expired is written anew in its place.
 *
 * Only neighbours in age are ever merged, and the result takes the place of the oldest: so what a run holds of a key stays
 * newer than what the runs behind it hold.
 */
import { sometimes } from '../base/rare.ts';
import { compareBytes } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import type { CompactionStrategy } from './store_options.ts';
import type { Table } from './table.ts';
import type { Run, Version } from './version.ts';

/** Level 0 to 6: with the default limits the last is beyond any disk. */
export const LEVELS = 7;
/** How many times as large as the oldest run all newer ones together may be. */
const SPACE_AMPLIFICATION_MAX = 2;
/** Smaller tables of level 0 than this part of `tableBytes` are merged even if they could be moved: many would gather. */
const MOVED_PART = 8;
/** One record of so many has expired: then a table is worth writing anew. */
const EXPIRED_PART = 4;

export interface CompactionOptions {
  readonly compaction: CompactionStrategy;
  readonly mergeAtTables: number;
  readonly levelBytes: number;
  readonly levelGrowth: number;
  readonly tableBytes: number;
}

export interface Compaction {
  /** Tables of one run each, from new to old. */
  readonly inputs: readonly (readonly Table[])[];
  /** Where the result stands. */
  readonly level: number;
  readonly run: number;
  /** Everything older that stays. */
  readonly below: readonly Run[];
  /** `move`: the only input needs no rewriting. */
  readonly kind: 'merge' | 'move';
}

/** What has expired. */
export interface Expired {
  /** By this time; 0: nothing has. */
  readonly timeMs: number;
  /** What is not above this sequence number may be seen by a snapshot, and stays. */
  readonly heldSequence: Index;
}

/** Null when nothing is due, or nothing that is due can be read. */
export function chooseCompaction(
  version: Version,
  options: CompactionOptions,
  expired: Expired,
): Compaction | null {
  const choice =
    options.compaction === 'levelled'
      ? chooseLevelled(version, options)
      : chooseTiered(version.runs, options);
  return choice ?? chooseExpired(version.runs, expired);
}

/** Everything into one run; null when there is nothing to gain. */
export function compactAll(
  version: Version,
  options: CompactionOptions,
  { timeMs }: Expired,
): Compaction | null {
  const { runs } = version;
  const [only] = runs;
  if (only === undefined || (runs.length === 1 && isClean(only, timeMs))) return null;
  const deepest = runs[runs.length - 1].level;
  return {
    inputs: runs.map(({ tables }) => tables),
    level: options.compaction === 'levelled' ? Math.max(1, deepest) : deepest,
    run: only.number,
    below: [],
    kind: 'merge',
  };
}

/** Bytes above what the levels should hold: what is still to be moved. */
export function debtBytes(version: Version, options: CompactionOptions): number {
  if (options.compaction !== 'levelled') return 0;
  let debt = 0;
  for (const run of version.runs) {
    if (run.level > 0) debt += Math.max(0, run.sizeBytes - limitOf(run.level, options));
  }
  return debt;
}

/** Runs that a reader must look at beside the deeper levels. */
export function pendingRuns(version: Version, { compaction }: CompactionOptions): number {
  const { runs } = version;
  return compaction === 'levelled' ? runs.filter(({ level }) => level === 0).length : runs.length;
}

function limitOf(level: number, { levelBytes, levelGrowth }: CompactionOptions): number {
  return levelBytes * levelGrowth ** (level - 1);
}

function chooseLevelled(version: Version, options: CompactionOptions): Compaction | null {
  const { runs } = version;
  const newest = runs.filter(({ level }) => level === 0);
  const due = runs
    .filter(({ level }) => level > 0 && level < LEVELS - 1)
    .map((run) => ({ run, score: run.sizeBytes / limitOf(run.level, options) }));
  const [first] = newest;
  if (first !== undefined) due.push({ run: first, score: newest.length / options.mergeAtTables });
  due.sort((a, b) => b.score - a.score);
  for (const { run, score } of due) {
    // A level is due above its limit, level 0 at it.
    if (score < 1 || (score === 1 && run.level > 0)) break;
    const choice = run.level === 0 ? mergeLevelZero(newest, runs, options) : pushDown(run, runs);
    if (choice !== null) return choice;
  }
  return null;
}

function mergeLevelZero(
  newest: readonly Run[],
  runs: readonly Run[],
  options: CompactionOptions,
): Compaction | null {
  const tables = newest.flatMap((run) => run.tables);
  const low = tables.map((table) => table.low).reduce((a, b) => (compareBytes(a, b) <= 0 ? a : b));
  const end = tables.map((table) => table.end).reduce((a, b) => (compareBytes(a, b) >= 0 ? a : b));
  const overlapped = runs.find(({ level }) => level === 1)?.overlapping(low, end) ?? [];
  if (isReadable(tables) && isReadable(overlapped)) {
    const kind = overlapped.length === 0 && areMovable(tables, options) ? 'move' : 'merge';
    if (kind === 'move') sometimes('level 0 moves down as it is');
    return {
      inputs: [...newest.map((run) => run.tables), overlapped],
      level: 1,
      run: 0,
      below: runs.filter(({ level }) => level > 1),
      kind,
    };
  }
  // What is newer than the damage can at least become fewer runs.
  const damaged = newest.findIndex((run) => !isReadable(run.tables));
  const count = damaged < 0 ? newest.length : damaged;
  return count >= Math.max(2, options.mergeAtTables) ? mergeRuns(runs, count) : null;
}

/** Nothing overlaps, and a merge would leave nothing out: keys came in order. */
function areMovable(tables: readonly Table[], { tableBytes }: CompactionOptions): boolean {
  const sorted = [...tables].sort((a, b) => compareBytes(a.low, b.low));
  return sorted.every((table, at) => {
    const isApart = at === 0 || compareBytes(sorted[at - 1].end, table.low) <= 0;
    return isApart && MOVED_PART * table.sizeBytes >= tableBytes && isWithoutRemains(table);
  });
}

/** The table of a level that costs the least to push down, for its size. */
function pushDown(run: Run, runs: readonly Run[]): Compaction | null {
  const next = runs.find(({ level }) => level === run.level + 1);
  let best: { readonly table: Table; readonly overlapped: readonly Table[]; readonly cost: number } | null =
    null;
  for (const table of run.tables) {
    const overlapped = next?.overlapping(table.low, table.end) ?? [];
    if (table.damage !== null || !isReadable(overlapped)) continue;
    const cost = overlapped.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) / Math.max(1, table.sizeBytes);
    if (best === null || cost < best.cost) best = { table, overlapped, cost };
  }
  if (best === null) return null;
  const { table, overlapped } = best;
  return {
    inputs: [[table], overlapped],
    level: run.level + 1,
    run: 0,
    below: runs.filter(({ level }) => level > run.level + 1),
    kind: overlapped.length === 0 ? 'move' : 'merge',
  };
}

function chooseTiered(all: readonly Run[], options: CompactionOptions): Compaction | null {
  const damaged = all.findIndex((run) => !isReadable(run.tables));
  const runs = damaged < 0 ? all : all.slice(0, damaged);
  if (runs.length < Math.max(2, options.mergeAtTables)) return null;
  const oldest = runs[runs.length - 1].sizeBytes;
  const newer = runs.slice(0, -1).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (newer >= SPACE_AMPLIFICATION_MAX * oldest) return mergeRuns(all, runs.length);
  let count = 1;
  let bytes = runs[0].sizeBytes;
  while (count < runs.length && runs[count].sizeBytes <= bytes) bytes += runs[count++].sizeBytes;
  return mergeRuns(all, Math.max(2, count));
}

/**
 * A table of which a good part has expired, and everything that ever will. It is written anew in its own place, where none
 * of that is left: so a table is chosen once.
 */
function chooseExpired(runs: readonly Run[], { timeMs, heldSequence }: Expired): Compaction | null {
  if (timeMs === 0) return null;
  for (const [at, { level, number, tables }] of runs.entries()) {
    for (const table of tables) {
      const properties = table.damage === null ? table.readerOrNull?.properties : undefined;
      if (properties === undefined) continue;
      const { records, expiring, lastExpiryMs, minSequence } = properties;
      if (expiring === 0 || lastExpiryMs > timeMs || EXPIRED_PART * expiring < records) continue;
      if (minSequence <= heldSequence) continue;
      sometimes('a table that has expired is written anew');
      return { inputs: [[table]], level, run: number, below: runs.slice(at + 1), kind: 'merge' };
    }
  }
  return null;
}

/** Merges the newest runs; the result takes the place of the oldest of them. */
function mergeRuns(runs: readonly Run[], count: number): Compaction {
  const merged = runs.slice(0, count);
  const oldest = merged[count - 1];
  return {
    inputs: merged.map(({ tables }) => tables),
    level: oldest.level,
    run: oldest.number,
    below: runs.slice(count),
    kind: 'merge',
  };
}

function isReadable(tables: readonly Table[]): boolean {
  return tables.every(({ damage }) => damage === null);
}

/** Nothing in it is deleted, superseded, hidden or expired. */
function isClean({ tables }: Run, timeMs: number): boolean {
  return tables.every((table) => {
    const { expiring, firstExpiryMs } = table.reader.properties;
    return isWithoutRemains(table) && (expiring === 0 || firstExpiryMs > timeMs);
  });
}

function isWithoutRemains({ reader: { properties } }: Table): boolean {
  const { tombstones, superseded, rangeTombstones } = properties;
  return tombstones + superseded + rangeTombstones === 0;
}
