/** What a flush or a compaction reads, and which of it is kept. */
import { compareBytes } from '../codec/bytes.ts';
import type { Index } from '../log/entry.ts';
import type { ExpiryRule } from './expiry.ts';
import { type Memtable, MemtableCursor } from './memtable.ts';
import { MergeCursor } from './merge_cursor.ts';
import type { RangeTombstone } from './range_tombstones.ts';
import type { Cursor } from './record.ts';
import { type Below, Retention } from './retention.ts';
import { type ReadableTable, RunCursor } from './run_cursor.ts';
import { type Borders, firstEndingBehind } from './table.ts';

export interface RunInput {
  /** Every version that there is. */
  readonly records: Cursor;
  readonly retention: Retention;
}

/** What holds for both; plain data, which can be sent to another thread. */
export interface InputContext {
  /** Runs that lie below, from new to old. */
  readonly below: readonly (readonly Borders[])[];
  /** Those that are held, ascending. */
  readonly snapshots: readonly Index[];
  /** The owner's time, by the tables; 0: none, nothing has expired. */
  readonly timeMs: number;
}

/** @param rule Null: nothing ever expires. */
export function flushInput(memtable: Memtable, context: InputContext, rule: ExpiryRule | null): RunInput {
  const tombstones = memtable.ranges?.toList() ?? [];
  return { records: new MemtableCursor(memtable), retention: retentionOf(tombstones, context, rule) };
}

/** @param runs To be merged, from new to old. @throws CorruptionError when a table could not be opened. */
export function mergeInput(
  runs: readonly (readonly ReadableTable[])[],
  context: InputContext,
  rule: ExpiryRule | null,
): RunInput {
  const tombstones = runs.flat().flatMap(({ reader }) => reader.ranges?.toList() ?? []);
  // The checksums of records go along with them: what has changed in memory, here or before, is met by a lookup.
  const records = new MergeCursor(runs.map((tables) => new RunCursor(tables, 'none')));
  return { records, retention: retentionOf(tombstones, context, rule) };
}

function retentionOf(
  tombstones: readonly RangeTombstone[],
  { below, snapshots, timeMs }: InputContext,
  rule: ExpiryRule | null,
): Retention {
  const expiry = rule === null ? null : { rule, timeMs };
  return new Retention({ snapshots, tombstones, below: belowOf(below), expiry });
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
