/**
 * Compacts in the background, one job at a time: what is due is chosen, merged in steps, made durable, and put in force.
 *
 * Nothing that is read is touched before the manifest names the result. A job that the disk has no space for is tried
 * again later; one that meets a damaged table ends compaction, or, with quarantine, leaves that table alone from then on.
 */
import { CorruptionError, EnvelopeError } from '../base/errors.ts';
import { rarely, sometimes } from '../base/rare.ts';
import { isReadError } from '../base/read_error.ts';
import type { Timer } from '../io/clock.ts';
import type { Index } from '../log/entry.ts';
import { type Compaction, chooseCompaction, compactAll, type Expired } from './compaction.ts';
import { ALL_VISIBLE } from './record.ts';
import { type Build, startBuild } from './run_build.ts';
import type { CompactionProgress, StoreSettings } from './store_options.ts';
import { getFromRuns } from './store_reads.ts';
import type { Table } from './table.ts';
import type { TableReader } from './table_reader.ts';
import { isOutOfSpace, type TableSet } from './table_set.ts';
import type { Version } from './version.ts';

type Done = (error: Error | null) => void;

/** What the compactor needs of its store. */
export interface CompactorHost {
  /** Sequence numbers of the snapshots that are held, ascending. */
  snapshots(): readonly Index[];
  /** Whether writers are held back. */
  readonly isUrgent: () => boolean;
  /** A job has ended, or waits for space. */
  onCompacted(): void;
  onOutOfSpace(error: Error): void;
  onDamage(table: Table, error: CorruptionError): void;
  onFailure(error: Error): void;
}

export class Compactor {
  readonly #options: StoreSettings;
  readonly #tables: TableSet;
  readonly #host: CompactorHost;
  #build: Build | null = null;
  #retry: Timer | null = null;
  /** Why a job waits for space; null: none does, or one has succeeded since. */
  outOfSpace: Error | null = null;
  /** A job is being built, made durable, or waits for space. */
  #isBusy = false;
  #isPaused = false;
  #stopped = false;
  /** Who waits for everything to be merged; those of the job under way come first. */
  #waiters: Done[] = [];
  /** Who asked for the job under way. */
  #waitedFor: readonly Done[] = [];
  #job: Omit<CompactionProgress, 'doneBytes'> | null = null;
  merges = 0;
  moves = 0;
  mergedBytes = 0;

  constructor(options: StoreSettings, tables: TableSet, host: CompactorHost) {
    this.#options = options;
    this.#tables = tables;
    this.#host = host;
  }

  /** While it is, the runs that are there may become fewer. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Merges all tables there are into one run. `done` comes later, or at once when there is nothing to do. */
  mergeAll(done: Done): void {
    this.#waiters.push(done);
    this.work();
  }

  /** `done` of a `mergeAll` is not called any more; a merge that nobody else waits for is given up. */
  abandon(done: Done): void {
    if (!this.#waiters.includes(done)) return;
    this.#waiters = this.#waiters.filter((other) => other !== done);
    const isWanted = this.#waitedFor.some((other) => this.#waiters.includes(other));
    if (this.#waitedFor.includes(done) && !isWanted && this.#giveUp()) this.work();
  }

  /** Of the merge under way, null when there is none. */
  get progress(): CompactionProgress | null {
    const job = this.#job;
    if (!this.#isBusy || job === null) return null;
    if (this.#build === null) return { ...job, doneBytes: this.#retry === null ? job.inputBytes : 0 };
    return { ...job, doneBytes: Math.min(job.inputBytes, this.#build.steps * this.#options.stepBytes) };
  }

  /** Starts what is due, if nothing is under way. */
  work(): void {
    if (this.#isBusy || this.#isPaused || this.#stopped) return;
    const { version } = this.#tables;
    if (this.#waiters.length === 0) {
      const expired = this.#expiredIn(version);
      const choice = chooseCompaction(version, this.#options, expired);
      if (choice !== null) this.#start(choice, expired, []);
      else this.outOfSpace = null;
      return;
    }
    // Who comes later waits for another merge: snapshots may have been released since this one began.
    const waiters = [...this.#waiters];
    const damaged = version.placed().find(({ table }) => table.damage !== null);
    const expired = this.#expiredIn(version);
    const choice = damaged === undefined ? compactAll(version, this.#options, expired) : null;
    if (choice !== null) {
      this.#start(choice, expired, waiters);
      return;
    }
    this.#waiters = [];
    for (const done of waiters) done(damaged?.table.damage ?? null);
    this.work();
  }

  /** Nothing is compacted until `resume`; a merge that is being built is given up, and begun anew then. */
  pause(): void {
    this.#isPaused = true;
    this.#giveUp();
  }

  /** What is being built, or waits for space. False when there is nothing of the kind. */
  #giveUp(): boolean {
    if (this.#build === null && this.#retry === null) return false;
    rarely('a compaction is given up');
    this.#build?.stop();
    this.#build?.discard();
    this.#build = null;
    this.#retry?.cancel();
    this.#retry = null;
    this.outOfSpace = null;
    this.#isBusy = false;
    return true;
  }

  resume(): void {
    this.#isPaused = false;
    this.work();
  }

  /** For good. Who waits is told why. */
  stop(error: Error): void {
    this.#stopped = true;
    this.#build?.stop();
    this.#retry?.cancel();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const done of waiters) done(error);
  }

  /** By the time that the tables hold: a crash leaves no earlier one. */
  #expiredIn(version: Version): Expired {
    const { expiry } = this.#options;
    if (expiry === null) return { timeMs: 0, heldSequence: 0 };
    const snapshots = this.#host.snapshots();
    const heldSequence = snapshots[snapshots.length - 1] ?? -1;
    try {
      const timeMs = expiry.timeIn((key) => getFromRuns(version.runs, key, ALL_VISIBLE));
      return { timeMs, heldSequence };
    } catch {
      rarely('the time in the tables cannot be read');
      return { timeMs: 0, heldSequence };
    }
  }

  #start(choice: Compaction, { timeMs }: Expired, waiters: readonly Done[]): void {
    this.#isBusy = true;
    this.#waitedFor = waiters;
    const { inputs, below } = choice;
    const inputBytes = inputs.flat().reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    this.#job = { level: choice.level, inputBytes, isOfAll: waiters.length > 0 };
    if (choice.kind === 'move') {
      sometimes('a table moves a level down');
      this.moves++;
      this.#commit(choice, [], waiters);
      return;
    }
    sometimes('tables are merged');
    try {
      const { nextNumber } = this.#tables;
      const { isUrgent } = this.#host;
      const snapshots = this.#host.snapshots();
      const job = { source: inputs, below, snapshots, timeMs, nextNumber, isUrgent };
      this.#build = startBuild(this.#options, job, (outcome) => {
        const build = this.#build;
        this.#build = null;
        if (outcome.ok) this.#commit(choice, outcome.value, waiters);
        else {
          build?.discard();
          this.#onError(outcome.error, inputs.flat());
        }
      });
    } catch (error) {
      this.#onError(
        error instanceof Error ? error : new EnvelopeError('INTERNAL', String(error)),
        inputs.flat(),
      );
    }
  }

  #commit(
    { inputs, level, run, kind }: Compaction,
    built: readonly TableReader[],
    waiters: readonly Done[],
  ): void {
    const removed = inputs.flat();
    if (built.length + removed.length > 1 && level > 0) sometimes('a deeper level is rewritten');
    this.#tables.change({
      flushedIndex: null,
      built,
      level,
      run,
      removed,
      moved: kind === 'move' ? removed : [],
      onDurable: () => {
        this.#isBusy = false;
        this.outOfSpace = null;
        if (kind === 'merge') this.merges++;
        for (const { sizeBytes } of built) this.mergedBytes += sizeBytes;
        const told = waiters.filter((done) => this.#waiters.includes(done));
        this.#waiters = this.#waiters.filter((done) => !waiters.includes(done));
        for (const done of told) done(null);
        this.work();
        this.#host.onCompacted();
      },
    });
  }

  #onError(failure: Error, inputs: readonly Table[]): void {
    const { clock, damagedTables, outOfSpaceRetryMs } = this.#options;
    const error = damagedTables === 'quarantine' ? asDamage(failure, inputs) : failure;
    const damaged =
      error instanceof CorruptionError ? inputs.find(({ path }) => path === error.path) : undefined;
    // What was written is not what is read back: it is written once more.
    const isOfNew =
      damagedTables === 'quarantine' && error instanceof CorruptionError && damaged === undefined;
    if (isOutOfSpace(error) || isOfNew) {
      if (isOfNew) rarely('a merged table is damaged at once');
      else rarely('there is no space for a compaction');
      this.#retry = clock.after(outOfSpaceRetryMs, () => {
        this.#retry = null;
        this.#isBusy = false;
        this.work();
        this.#host.onCompacted();
      });
      if (!isOfNew) {
        this.#host.onOutOfSpace(error);
        this.outOfSpace = error;
      }
      return;
    }
    if (damagedTables === 'quarantine' && error instanceof CorruptionError && damaged !== undefined) {
      this.#isBusy = false;
      this.#host.onDamage(damaged, error);
      this.work();
      this.#host.onCompacted();
    } else this.#host.onFailure(error);
  }
}

/** What another thread could not read of an input, after several tries, is damage of that table as it is here. */
function asDamage(error: Error, inputs: readonly Table[]): Error {
  if (!isReadError(error) || !inputs.some(({ path }) => path === error.path)) return error;
  return new CorruptionError(error.path, 0, `the disk does not give what is there (${error.message})`);
}
