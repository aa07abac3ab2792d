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
import { ValuePlace } from './value_place.ts';
import type { Run, Version } from './version.ts';

/** `value`: it is at the place that was handed in. `deleted`: there is none, whatever lies behind says. */
export type Said = 'value' | 'deleted' | 'nothing';

/** What a memtable says of a key. */
export function findInMemtable(memtable: Memtable, key: Uint8Array, visible: Index, place: ValuePlace): Said {
  if (memtable.isEmpty) return 'nothing';
  const node = memtable.findVisible(key, visible);
  const cover = memtable.coverAt(key, visible);
  if (cover > 0 && (node === 0 || cover > memtable.sequenceAt(node))) return 'deleted';
  if (node === 0) return 'nothing';
  if (memtable.kindAt(node) !== RecordKind.Put) return 'deleted';
  memtable.placeValue(node, place);
  return 'value';
}

/** Whether runs hold a value of the key; it is at the place then. @throws CorruptionError, DiskError */
export function findInRuns(
  runs: readonly Run[],
  key: Uint8Array,
  visible: Index,
  counters: ReadCounters,
  place: ValuePlace,
): boolean {
  if (runs.length > 0) counters.reads++;
  const hash = hashKey(key);
  for (let at = 0; at < runs.length; at++) {
    const table = runs[at].tableFor(key);
    if (table === null) continue;
    const { reader } = table;
    const record = reader.find(key, hash, visible, counters);
    if (reader.ranges !== null) {
      const cover = reader.ranges.coverAt(key, visible);
      if (cover > 0 && (record === null || cover > record.sequence)) return false;
    }
    if (record === null) continue;
    if (record.kind !== RecordKind.Put) return false;
    place.set(record.bytes, record.valueStart, record.valueEnd);
    return true;
  }
  return false;
}

/** The value, as a view; null when the key is deleted or nowhere. @throws CorruptionError, DiskError */
export function getFromRuns(runs: readonly Run[], key: Uint8Array, visible: Index): Uint8Array | null {
  const place = new ValuePlace();
  return findInRuns(runs, key, visible, UNCOUNTED, place) ? place.view : null;
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
    // What is written later the cursor would not show.
    if (memtable.entries > 0) cursors.push(new MemtableCursor(memtable));
    if (memtable.ranges !== null) covers.push(memtable.ranges);
  }
  for (const run of version.runs) {
    const tables = run.overlapping(low, end);
    if (tables.length === 0) continue;
    cursors.push(new RunCursor(tables, range.verify === true ? 'each' : 'none'));
    for (const { reader } of tables) if (reader.ranges !== null) covers.push(reader.ranges);
  }
  return { cursors, covers, visible };
}
