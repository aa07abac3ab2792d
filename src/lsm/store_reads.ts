/**
 * Reads over what a store holds at a moment: memtables from new to old, then runs from new to old. The first place that
 * knows the key decides: whatever lies behind it is older, also where a range tombstone was the first to know it.
 */
import type { Index } from '../log/entry.ts';
import { hashKey } from './bloom_filter.ts';
import { type Memtable, MemtableCursor } from './memtable.ts';
import type { RangeTombstones } from './range_tombstones.ts';
import { type ReadCounters, UNCOUNTED } from './read_counters.ts';
import { RecordKind, type TwoWayCursor } from './record.ts';
import { RunCursor } from './run_cursor.ts';
import { boundsOf, type IteratorRange, type IteratorSources } from './store_iterator.ts';
import type { Run, Version } from './version.ts';

/** What a memtable says of a key: its value, null when it is deleted, undefined when it says nothing. */
export function getFromMemtable(
  memtable: Memtable,
  key: Uint8Array,
  visible: Index,
): Uint8Array | null | undefined {
  const node = memtable.findVisible(key, visible);
  const cover = memtable.coverAt(key, visible);
  if (cover > 0 && (node === 0 || cover > memtable.sequenceAt(node))) return null;
  if (node === 0) return undefined;
  return memtable.kindAt(node) === RecordKind.Put ? memtable.valueAt(node) : null;
}

/** The value, as a view; null when the key is deleted or nowhere. @throws CorruptionError, DiskError */
export function getFromRuns(
  runs: readonly Run[],
  key: Uint8Array,
  visible: Index,
  counters: ReadCounters = UNCOUNTED,
): Uint8Array | null {
  if (runs.length > 0) counters.reads++;
  const hash = hashKey(key);
  for (const run of runs) {
    const table = run.tableFor(key);
    if (table === null) continue;
    const { reader } = table;
    const record = reader.find(key, hash, visible, counters);
    if (reader.ranges !== null) {
      const cover = reader.ranges.coverAt(key, visible);
      if (cover > 0 && (record === null || cover > record.sequence)) return null;
    }
    if (record !== null) return record.kind === RecordKind.Put ? record.value : null;
  }
  return null;
}

/** What an iterator over the range needs to look at. @throws CorruptionError when a table in it could not be opened. */
export function iteratorSources(
  memtables: readonly Memtable[],
  version: Version,
  range: IteratorRange,
  visible: Index,
): IteratorSources {
  const { low, end } = boundsOf(range);
  const cursors: TwoWayCursor[] = [];
  const covers: RangeTombstones[] = [];
  for (const memtable of memtables) {
    cursors.push(new MemtableCursor(memtable));
    if (memtable.ranges !== null) covers.push(memtable.ranges);
  }
  for (const run of version.runs) {
    const tables = run.overlapping(low, end);
    if (tables.length === 0) continue;
    cursors.push(new RunCursor(tables));
    for (const { reader } of tables) if (reader.ranges !== null) covers.push(reader.ranges);
  }
  return { cursors, covers, visible };
}
