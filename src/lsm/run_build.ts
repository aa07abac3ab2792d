/**
 * Flushes and compactions under way: runs written a step at a time in the background, so that they hold up nothing else, or
 * by another thread (see `run_builder.ts`), and then opened for reading.
 */
import { assert } from '../base/assert.ts';
import { type Outcome, toError } from '../base/errors.ts';
import { rarely } from '../base/rare.ts';
import type { Clock } from '../io/clock.ts';
import type { Compression } from '../io/compression.ts';
import type { AppendFile, Disk } from '../io/disk.ts';
import type { Index } from '../log/entry.ts';
import type { BlockCache } from './block_cache.ts';
import type { DirectorySync } from './directory_sync.ts';
import type { ExpiryRule } from './expiry.ts';
import type { Memtable } from './memtable.ts';
import type { BuildOrder, BuildSource, RunBuilder, StartedBuild } from './run_builder.ts';
import { flushInput, mergeInput, type RunInput } from './run_input.ts';
import { RunWriter, type RunWriterOptions } from './run_writer.ts';
import { tablePath } from './store_files.ts';
import type { Borders, Table } from './table.ts';
import { openTableInSteps, type TableReader, type TableReading } from './table_reader.ts';

export interface RunBuildOptions extends RunWriterOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** For the reads of the new tables. */
  readonly blockCache: BlockCache | null;
  readonly compressions: readonly Compression[];
  readonly damagedTables: 'refuse' | 'quarantine';
  readonly names: DirectorySync;
  /** Who writes runs; null: this thread does, in steps. */
  readonly runBuilder: RunBuilder | null;
  /** Null: nothing ever expires. */
  readonly expiry: ExpiryRule | null;
}

export interface RunBuildJob {
  readonly nextNumber: () => number;
  /** Whether somebody waits for the result. */
  readonly isUrgent: () => boolean;
}

export interface FlushOrMerge extends RunBuildJob {
  /** What is flushed; or the runs to be merged, from new to old. */
  readonly source: Memtable | readonly (readonly Table[])[];
  /** Runs that are older than all of that, from new to old. */
  readonly below: readonly { readonly tables: readonly Borders[] }[];
  /** Sequence numbers of the snapshots that are held, ascending. */
  readonly snapshots: readonly Index[];
  /** The owner's time, by the tables; 0: nothing has expired. */
  readonly timeMs: number;
}

export interface Build {
  /** Done so far, of `stepBytes` of records each. */
  readonly steps: number;
  /** No step follows and `done` is never called. */
  stop(): void;
  /** Removes what a build that failed or was stopped has left. What cannot be removed now is removed at the next open. */
  discard(): void;
}

type Done = (outcome: Outcome<TableReader[]>) => void;

/** More numbers than tables that a build could make, by this factor and at least so many: they cost nothing. */
const SPARE_NUMBERS = 64;

/**
 * `done` comes later, with the tables in order. After an error files may be there in part: see `discard`.
 * @throws CorruptionError when a table to be merged could not be opened.
 */
export function startBuild(options: RunBuildOptions, job: FlushOrMerge, done: Done): Build {
  if (options.runBuilder !== null) return new OrderedRun(options, options.runBuilder, job, done);
  const { source, snapshots, timeMs } = job;
  const context = { snapshots, timeMs, below: job.below.map(({ tables }) => tables) };
  const rule = options.expiry;
  const input = isMemtable(source) ? flushInput(source, context, rule) : mergeInput(source, context, rule);
  return new SteppedRun(options, job, input, done);
}

/** A run that this thread writes. */
export class SteppedRun implements Build {
  readonly #options: RunBuildOptions;
  readonly #job: RunBuildJob;
  readonly #writer: RunWriter;
  readonly #done: Done;
  #steps: Generator<AppendFile | null, void> | null = null;
  #opening: Opening | null = null;
  #stopped = false;
  steps = 0;

  constructor(options: RunBuildOptions, job: RunBuildJob, input: RunInput, done: Done) {
    this.#options = options;
    this.#job = job;
    this.#writer = new RunWriter(options.disk, options, input, job.nextNumber);
    this.#done = done;
    options.clock.after(0, this.#step);
  }

  stop(): void {
    this.#stopped = true;
    this.#writer.close();
    this.#opening?.stop();
  }

  discard(): void {
    discard(this.#options, this.#writer.numbers);
  }

  readonly #step = (): void => {
    if (this.#stopped) return;
    try {
      this.#steps ??= this.#writer.steps();
      this.steps++;
      const { done, value } = this.#steps.next();
      if (done === true) this.#finish();
      else if (value) this.#sync(value);
      else planStep(this.#options.clock, this.#job, this.#step);
    } catch (error) {
      this.#fail(error);
    }
  };

  #sync(file: AppendFile): void {
    file.sync((error) => {
      if (this.#stopped) return;
      file.close();
      if (error === null) this.#step();
      else this.#fail(error);
    });
  }

  #finish(): void {
    const { numbers } = this.#writer;
    if (numbers.length === 0) rarely('a merge leaves nothing');
    this.#opening = new Opening(this.#options, this.#job, numbers, this.#done);
  }

  #fail(error: unknown): void {
    this.#writer.close();
    this.#done({ ok: false, error: toError(error) });
  }
}

/** A run that is written elsewhere. */
class OrderedRun implements Build {
  readonly #options: RunBuildOptions;
  readonly #numbers: BuildOrder['numbers'];
  readonly #started: StartedBuild;
  #opening: Opening | null = null;
  #isBuilt = false;

  constructor(options: RunBuildOptions, builder: RunBuilder, job: FlushOrMerge, done: Done) {
    const { directory, tableBytes, stepBytes, blockBytes, restartInterval, filterBitsPerKey } = options;
    const { source, snapshots, timeMs, below } = job;
    const bytes = isMemtable(source)
      ? source.usedBytes
      : source.flat().reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const count = SPARE_NUMBERS * (1 + Math.ceil(bytes / tableBytes));
    const first = job.nextNumber();
    for (let n = 1; n < count; n++) {
      const number = job.nextNumber();
      assert(number === first + n, 'numbers that are taken together follow each other', { first, number });
    }
    this.#options = options;
    this.#numbers = { first, count };
    const order = {
      options: { directory, tableBytes, stepBytes, blockBytes, restartInterval, filterBitsPerKey },
      compression: options.compression?.name ?? null,
      source: sourceOf(source),
      below: below.map(({ tables }) => tables.map(bordersOf)),
      snapshots,
      timeMs,
      expires: options.expiry !== null,
      numbers: this.#numbers,
    };
    this.#started = builder.build(order, (outcome) => {
      this.#isBuilt = true;
      if (outcome.ok) this.#opening = new Opening(options, job, outcome.value, done);
      else done(outcome);
    });
  }

  get steps(): number {
    return this.#started.steps;
  }

  stop(): void {
    if (!this.#isBuilt) this.#started.stop();
    this.#opening?.stop();
  }

  discard(): void {
    const { first, count } = this.#numbers;
    discard(
      this.#options,
      Array.from({ length: count }, (_none, at) => first + at),
    );
  }
}

/**
 * Makes the names of new tables durable and opens them, a step in each turn: reading filter and index of a large one takes
 * milliseconds.
 */
class Opening {
  readonly #options: RunBuildOptions;
  readonly #job: RunBuildJob;
  readonly #numbers: readonly number[];
  readonly #done: Done;
  readonly #readers: TableReader[] = [];
  /** Of the table at hand. */
  #steps: Generator<void, TableReader> | null = null;
  #stopped = false;

  constructor(options: RunBuildOptions, job: RunBuildJob, numbers: readonly number[], done: Done) {
    this.#options = options;
    this.#job = job;
    this.#numbers = numbers;
    this.#done = done;
    if (numbers.length === 0) this.#open();
    else options.names.sync(this.#onNamed);
  }

  stop(): void {
    this.#stopped = true;
    this.#steps?.return(undefined as never);
    for (const reader of this.#readers) reader.close();
  }

  readonly #onNamed = (error: Error | null): void => {
    if (this.#stopped) return;
    if (error === null) this.#open();
    else this.#fail(error);
  };

  readonly #open = (): void => {
    if (this.#stopped) return;
    const { disk, directory, clock, blockCache, compressions, damagedTables } = this.#options;
    const number = this.#numbers[this.#readers.length];
    if (number === undefined) {
      this.#stopped = true;
      this.#done({ ok: true, value: this.#readers });
      return;
    }
    try {
      const unreadable = damagedTables === 'quarantine' ? 'damage' : 'error';
      const reading: TableReading = { cache: blockCache, compressions, unreadable };
      this.#steps ??= openTableInSteps(disk, tablePath(directory, number), number, reading);
      const { done, value } = this.#steps.next();
      if (done === true) {
        this.#readers.push(value);
        this.#steps = null;
      }
    } catch (error) {
      this.#fail(error);
      return;
    }
    planStep(clock, this.#job, this.#open);
  };

  #fail(error: unknown): void {
    this.stop();
    this.#done({ ok: false, error: toError(error) });
  }
}

/** A timer leaves the loop room for a millisecond; when writers wait for the result, its next turn is soon enough. */
function planStep(clock: Clock, job: RunBuildJob, step: () => void): void {
  if (job.isUrgent()) clock.later(step);
  else clock.after(0, step);
}

function discard({ disk, directory }: RunBuildOptions, numbers: readonly number[]): void {
  for (const number of numbers) {
    try {
      if (disk.exists(tablePath(directory, number))) disk.remove(tablePath(directory, number));
    } catch {
      rarely('what a failed build has left cannot be removed');
    }
  }
}

function isMemtable(source: FlushOrMerge['source']): source is Memtable {
  return !Array.isArray(source);
}

/** Keys are copied: what is sent to another thread takes its whole buffer along. */
function bordersOf({ low, end }: Borders): Borders {
  return { low: low.slice(), end: end.slice() };
}

function sourceOf(source: FlushOrMerge['source']): BuildSource {
  if (isMemtable(source)) return { type: 'memtable', memtable: source.share() };
  const runs = source.map((tables) =>
    tables.map((table) => ({ number: table.number, path: table.path, ...bordersOf(table) })),
  );
  return { type: 'runs', runs };
}
