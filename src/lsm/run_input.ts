/** What a flush or a compaction reads, and which of it is kept. */
import { compareBytes } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import { type Memtable, MemtableCursor } from './memtable.ts';
import { MergeCursor } from './merge_cursor.ts';
import type { Cursor } from './record.ts';
import { type Below, Retention } from './retention.ts';
import { type ReadableTable, RunCursor } from './run_cursor.ts';
import { type Borders, firstEndingBehind } from './table.ts';

export interface RunInput {
  /** Every version that there is. */
  readonly records: Cursor;
  readonly retention: Retention;
}

/** What holds for both: runs that lie below, from new to old, and the snapshots that are held, ascending. */
export interface InputContext {
  readonly below: readonly (readonly Borders[])[];
  readonly snapshots: readonly Index[];
}

export function flushInput(memtable: Memtable, { below, snapshots }: InputContext): RunInput {
  const tombstones = memtable.ranges?.toList() ?? [];
  const retention = new Retention({ snapshots, tombstones, below: belowOf(below) });
  return { records: new MemtableCursor(memtable), retention };
}

/** @param runs To be merged, from new to old. @throws CorruptionError when a table could not be opened. */
export function mergeInput(
  runs: readonly (readonly ReadableTable[])[],
  { below, snapshots }: InputContext,
): RunInput {
  const tombstones = runs.flat().flatMap(({ reader }) => reader.ranges?.toList() ?? []);
  const retention = new Retention({ snapshots, tombstones, below: belowOf(below) });
  return { records: new MergeCursor(runs.map((tables) => new RunCursor(tables))), retention };
}

/** By the borders of tables alone: nothing is read. */
function belowOf(runs: readonly (readonly Borders[])[]): Below {
  return {
    mayHold: (gte, lt) => {
      for (const tables of runs) {
        const table = tables[firstEndingBehind(tables, gte)];
        if (table === undefined) continue;
        if (lt === null ? compareBytes(table.low, gte) <= 0 : compareBytes(table.low, lt) < 0) return true;
      }
      return false;
    },
  };
}
