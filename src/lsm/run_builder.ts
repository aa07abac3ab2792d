/**
 * The seam behind which runs may be written by another thread. What is ordered is plain data that can be sent there: a
 * memtable's bytes are shared, tables are named and opened anew.
 */
import { assert } from '../base/assert.ts';
import type { Outcome } from '../base/errors.ts';
import type { Compression } from '../io/compression.ts';
import type { Disk } from '../io/disk.ts';
import type { ExpiryRule } from './expiry.ts';
import { Memtable, type SharedMemtable } from './memtable.ts';
import { flushInput, type InputContext, mergeInput, type RunInput } from './run_input.ts';
import { RunWriter, type RunWriterOptions } from './run_writer.ts';
import type { TableIdentity } from './table.ts';
import { openTable, type TableReader } from './table_reader.ts';

export interface RunBuilder {
  /** An order is to come soon: what takes time to begin with may be done now. */
  prepare(): void;
  /**
   * Begins to write a run. `done` comes later, with the numbers of its tables, which are durable but for their names. After
   * an error files may be there in part.
   */
  build(order: BuildOrder, done: (outcome: Outcome<readonly number[]>) => void): StartedBuild;
}

export interface StartedBuild {
  /** Done so far, of `stepBytes` of records each. */
  readonly steps: number;
  /** When it returns nothing is written any more, and `done` is never called. */
  stop(): void;
}

export interface BuildOrder extends InputContext {
  readonly options: Omit<RunWriterOptions, 'compression'>;
  /** By name; null: none. */
  readonly compression: string | null;
  readonly source: BuildSource;
  /** Whether the store has a rule by which values expire. */
  readonly expires: boolean;
  /** Numbers `[first, first + count)` are there for its tables: more than it can need. */
  readonly numbers: { readonly first: number; readonly count: number };
}

export type BuildSource =
  | { readonly type: 'memtable'; readonly memtable: SharedMemtable }
  /** Runs to be merged, from new to old; they are there until the build has ended. */
  | { readonly type: 'runs'; readonly runs: readonly (readonly TableIdentity[])[] };

/** What cannot be sent along: who carries out orders has the same as the stores that they come from. */
export interface BuilderParts {
  readonly rule: ExpiryRule;
  readonly compressions: readonly Compression[];
}

/** An order at the place where it is carried out. */
export class OrderedBuild {
  readonly writer: RunWriter;
  readonly #readers: TableReader[] = [];

  /** @throws CorruptionError, DiskError when a table cannot be opened. */
  constructor(disk: Disk, order: BuildOrder, parts: BuilderParts) {
    const { first, count } = order.numbers;
    let used = 0;
    const nextNumber = (): number => {
      assert(used < count, 'an order names enough numbers for its tables', { count });
      return first + used++;
    };
    const { compression: name } = order;
    const compression = parts.compressions.find((one) => one.name === name) ?? null;
    assert(name === null || compression !== null, 'who writes tables has the compression', { name });
    const options = { ...order.options, compression };
    this.writer = new RunWriter(disk, options, this.#inputOf(disk, order, parts), nextNumber);
  }

  /** Closes all files. */
  close(): void {
    this.writer.close();
    for (const reader of this.#readers) reader.close();
  }

  #inputOf(disk: Disk, order: BuildOrder, parts: BuilderParts): RunInput {
    const { source } = order;
    const rule = order.expires ? parts.rule : null;
    if (source.type === 'memtable') return flushInput(Memtable.of(source.memtable), order, rule);
    try {
      const runs = source.runs.map((tables) =>
        tables.map(({ path, number, end }) => {
          const reader = openTable(disk, path, number, { cache: null, ...parts });
          this.#readers.push(reader);
          return { reader, end };
        }),
      );
      return mergeInput(runs, order, rule);
    } catch (error) {
      for (const reader of this.#readers) reader.close();
      throw error;
    }
  }
}
