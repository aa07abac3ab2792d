/**
 * Replaces what the tables of a store say of a range of keys, by what another copy says: damaged tables are mended so.
 *
 * The new run takes its place between what was flushed before it was asked for and what is flushed later. Until it is
 * there nothing is compacted: what is merged across that place would change sides.
 */
import { assert } from '../base/assert.ts';
import type { Outcome } from '../base/errors.ts';
import type { Index } from '../log/entry.ts';
import { keepingAll } from './expiry.ts';
import { RecordsAt } from './live_records.ts';
import type { Cursor } from './record.ts';
import { Retention } from './retention.ts';
import { type Build, SteppedRun } from './run_build.ts';
import type { StoreSettings } from './store_options.ts';
import { type Borders, isWithin } from './table.ts';
import type { TableSet } from './table_set.ts';

const ANYTHING_BELOW = { mayHold: () => true };

/** Where a mended range goes: behind what was flushed later, before what tables held up to the log entry `index`. */
export interface MendPlace {
  readonly index: Index;
  readonly run: number;
}

export interface RangeMendingHost {
  readonly isUrgent: () => boolean;
  /** Has everything that was applied so far become tables; `done` comes then, at once when nothing waits. */
  flushApplied(done: (error: Error | null) => void): void;
  /** Sequence numbers of the snapshots that are held. */
  snapshots(): readonly Index[];
  /** Compactions may go on, for all that this knows. */
  resumeCompactions(): void;
  /** The tables have changed. */
  onMended(): void;
}

export class RangeMending {
  readonly #settings: StoreSettings;
  readonly #tables: TableSet;
  readonly #host: RangeMendingHost;
  /** Between `begin` and `end`. */
  #isBegun = false;
  /** Counts those that were begun. */
  #begun = 0;
  #build: Build | null = null;
  #isCommitted = false;

  constructor(settings: StoreSettings, tables: TableSet, host: RangeMendingHost) {
    this.#settings = settings;
    this.#tables = tables;
    this.#host = host;
  }

  /** Nothing may be compacted. */
  get isUnderWay(): boolean {
    return this.#isBegun || this.#isCommitted;
  }

  /** What was built for a range is on its way into the manifest. */
  get isCommitted(): boolean {
    return this.#isCommitted;
  }

  /** @param index The last entry that is applied. The caller has paused compactions. */
  begin(index: Index, done: (outcome: Outcome<MendPlace>) => void): void {
    assert(!this.#isBegun, 'one range is mended at a time', { index });
    this.#isBegun = true;
    const number = ++this.#begun;
    // Whoever waits for a flush is told before the next one begins: the number is older than what that will be given.
    this.#host.flushApplied((error) => {
      if (error !== null) done({ ok: false, error });
      else if (this.#isBegun && this.#begun === number)
        done({ ok: true, value: { index, run: this.#tables.nextNumber() } });
    });
  }

  mend({ low, end }: Borders, place: MendPlace, records: Cursor, done: (error: Error | null) => void): void {
    const { index, run } = place;
    assert(this.#isBegun && this.#build === null, 'a range is mended where there is a place', { index });
    const retention = new Retention({
      snapshots: [],
      tombstones: [{ gte: low, lt: end, sequence: index }],
      below: ANYTHING_BELOW,
      expiry: keepingAll(this.#settings.expiry),
    });
    const job = { nextNumber: this.#tables.nextNumber, isUrgent: this.#host.isUrgent };
    const input = { records: new RecordsAt(records, index), retention };
    const build = new SteppedRun(this.#settings, job, input, (outcome) => {
      this.#build = null;
      if (!outcome.ok) {
        build.discard();
        done(outcome.error);
        return;
      }
      assert(
        this.#host.snapshots().every((held) => held >= index),
        'nobody reads what is taken out',
        { index },
      );
      // One that is newer than the place holds what the records do not: if it is damaged as well, it waits for its own turn.
      const removed = this.#tables.version.quarantined.filter(
        (table) => table.number < run && isWithin(table, low, end),
      );
      this.#isCommitted = true;
      this.#tables.change({
        flushedIndex: null,
        built: outcome.value,
        level: 0,
        run,
        removed,
        moved: [],
        onDurable: () => {
          this.#isCommitted = false;
          done(null);
          this.#host.resumeCompactions();
          this.#host.onMended();
        },
      });
    });
    this.#build = build;
  }

  end(): void {
    if (!this.#isBegun) return;
    this.#isBegun = false;
    this.stop();
    this.#build?.discard();
    this.#build = null;
    this.#host.resumeCompactions();
  }

  /** Nothing is built any more. */
  stop(): void {
    this.#build?.stop();
  }
}
