/** Many seeds over worker threads, with a progress line for people and a summary for all. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { FailureStore } from './failure_store.ts';
import { declaredMarks } from './marks.ts';
import { ProgressLine } from './progress_line.ts';
import { type Failure, isOfTrial, type RunOptions, type RunResult } from './result.ts';
import { Trace } from './trace.ts';
import type { SeedOrder } from './worker.ts';

export interface CampaignOptions {
  readonly first: number;
  /** Null: until the time is over. */
  readonly seeds: number | null;
  /** Wall time after which no new seed is begun; null: until the seeds are through. */
  readonly seconds: number | null;
  readonly stormMs: number;
  /** `none`: whole clusters alone. */
  readonly trials: NonNullable<RunOptions['trials']>;
  /** Worker threads; null: one per core. */
  readonly jobs: number | null;
  readonly untilFailure: boolean;
  /** A file of seeds that failed before; null: none is kept. */
  readonly failures: string | null;
  /** Marks that were never reached make the campaign fail. */
  readonly requireMarks: boolean;
}

export interface CampaignSummary {
  readonly ok: boolean;
  readonly seeds: number;
  readonly failed: readonly { readonly seed: string; readonly check: string; readonly message: string }[];
  readonly seconds: number;
  readonly threads: number;
  readonly simulatedSeconds: number;
  readonly simulatedSecondsPerSecond: number;
  readonly events: number;
  readonly eventsPerSecondPerThread: number;
  readonly operations: number;
  readonly entries: number;
  readonly faults: number;
  readonly crashes: number;
  readonly elections: number;
  /** Times that a disk failed or was harmed. */
  readonly injuries: number;
  readonly machinesLost: number;
  /** Runs that rightly did not come back: too many machines were harmed. */
  readonly waited: number;
  /** Runs whose history was checked as a whole, as its pieces were too hard. */
  readonly wholeChecks: number;
  /** Runs of which it is not known whether the history is linearizable: it was too hard for the search. */
  readonly undecided: number;
  /** Which these are. */
  readonly undecidedSeeds: readonly string[];
  /** Seeds that reached each mark. */
  readonly marks: Readonly<Record<string, number>>;
  /** Marks that every campaign should reach, and that this one did not. */
  readonly marksNeverReached: readonly string[];
  readonly rareMarksNotReached: readonly string[];
  /** Over the hashes of all seeds, in the order of the seeds. */
  readonly hash: string;
}

/** Figures of a run that a campaign adds up. */
const SUMMED = [
  'simulatedSeconds',
  'events',
  'operations',
  'entries',
  'faults',
  'crashes',
  'elections',
  'injuries',
  'machinesLost',
  'waited',
  'wholeChecks',
  'undecided',
] as const;
const FAILURES_SHOWN_MAX = 10;

export class Campaign {
  readonly #options: CampaignOptions;
  readonly #store: FailureStore | null;
  readonly #progress: ProgressLine;
  readonly #startedAt = performance.now();
  /** Seeds to be run before all others. */
  readonly #first: SeedOrder[];
  /** Those of them that must not be run again when it is their turn by number. */
  readonly #early = new Set<string>();
  #next: number;
  #isStopped = false;
  // Sums, not results: a campaign may be of any length.
  #seeds = 0;
  readonly #hashes = new Map<string, string>();
  readonly #failed: { seed: string; check: string; message: string }[] = [];
  readonly #undecided: string[] = [];
  readonly #marks = new Map<string, number>();
  readonly #total: Record<(typeof SUMMED)[number], number> = {
    simulatedSeconds: 0,
    events: 0,
    operations: 0,
    entries: 0,
    faults: 0,
    crashes: 0,
    elections: 0,
    injuries: 0,
    machinesLost: 0,
    waited: 0,
    wholeChecks: 0,
    undecided: 0,
  };

  constructor(options: CampaignOptions, progress = new ProgressLine()) {
    this.#options = options;
    this.#progress = progress;
    this.#next = options.first;
    this.#store = options.failures === null ? null : new FailureStore(options.failures);
    this.#first = (this.#store?.failures ?? []).map(({ seed, stormMs }) => ({ seed, stormMs }));
    for (const { seed, stormMs } of this.#first) if (stormMs === options.stormMs) this.#early.add(seed);
  }

  async run(): Promise<CampaignSummary> {
    const { seeds, jobs } = this.#options;
    const threads = Math.max(1, Math.min(jobs ?? availableParallelism(), seeds ?? Number.MAX_SAFE_INTEGER));
    await Promise.all(Array.from({ length: threads }, () => this.#work()));
    this.#progress.end();
    return this.#summarize(threads);
  }

  /** No new seed is begun; `run` ends with what there is. */
  stop(): void {
    this.#isStopped = true;
  }

  #work(): Promise<void> {
    const worker = new Worker(new URL('./worker_entry.mjs', import.meta.url));
    return new Promise((resolve, reject) => {
      let order: SeedOrder | null = null;
      const handOut = (): void => {
        order = this.#takeOrder();
        if (order === null) worker.terminate().then(() => resolve(), reject);
        else worker.postMessage({ ...order, trials: this.#options.trials });
      };
      worker.on('message', (result: RunResult) => {
        if (order !== null) this.#take(order, result);
        handOut();
      });
      // Out of memory, say: nothing can be told of the run but which it was.
      worker.on('error', (cause) => {
        reject(new Error(`the thread that ran seed ${order?.seed} has died: ${cause.message}`, { cause }));
      });
      handOut();
    });
  }

  #takeOrder(): SeedOrder | null {
    const { first, seeds, seconds, stormMs, untilFailure } = this.#options;
    if (this.#isStopped || (untilFailure && this.#failed.length > 0)) return null;
    if (seconds !== null && performance.now() - this.#startedAt > seconds * 1000) return null;
    const before = this.#first.shift();
    if (before !== undefined) return before;
    while (this.#early.has(String(this.#next))) this.#next++;
    if (seeds !== null && this.#next >= first + seeds) return null;
    return { seed: String(this.#next++), stormMs };
  }

  #take(order: SeedOrder, result: RunResult): void {
    this.#seeds++;
    // A seed that failed before in a storm of another length is another run than the one of its number here.
    if (order.stormMs === this.#options.stormMs) this.#hashes.set(result.seed, result.hash);
    for (const name of SUMMED) this.#total[name] += result[name];
    for (const mark of result.marks) this.#marks.set(mark, (this.#marks.get(mark) ?? 0) + 1);
    if (result.undecided > 0) this.#undecided.push(result.seed);
    if (result.failure === null) this.#store?.held(order);
    else this.#takeFailure(order, result.failure);
    this.#progress.show(() => this.#describe());
  }

  #takeFailure({ seed, stormMs }: SeedOrder, failure: Failure): void {
    this.#failed.push({ seed, ...failure });
    this.#store?.failed({ seed, stormMs, check: failure.check });
    if (this.#failed.length > FAILURES_SHOWN_MAX) return;
    this.#progress.end();
    const run = `${seed} --storm-ms ${stormMs}`;
    const shrink = isOfTrial(failure) ? '' : `shrink: npm run sim -- shrink ${run}\n`;
    process.stderr.write(
      `\nseed ${seed} FAILED: ${failure.check}\n${failure.message}\nreplay: npm run sim -- --seed ${run}\n${shrink}`,
    );
  }

  #describe(): string {
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const { simulatedSeconds, events } = this.#total;
    const of = this.#options.seeds === null ? '' : `/${this.#options.seeds}`;
    return `${this.#seeds}${of} seeds, ${events} events, ${simulatedSeconds.toFixed(0)} s simulated (${(simulatedSeconds / seconds).toFixed(0)} s/s), ${this.#marks.size} marks, ${this.#failed.length} failed`;
  }

  #summarize(threads: number): CampaignSummary {
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const { simulatedSeconds, events } = this.#total;
    // By seed, not by when a worker finished: the same seeds give the same line.
    const trace = new Trace();
    for (const seed of [...this.#hashes.keys()].sort(bySeed)) trace.event(this.#hashes.get(seed) ?? '');
    const isDark = (mark: string): boolean => !this.#marks.has(mark);
    const marksNeverReached = declaredMarks('sometimes').filter(isDark);
    const rareMarksNotReached = declaredMarks('rarely').filter(isDark);
    return {
      ok: this.#failed.length === 0 && (!this.#options.requireMarks || marksNeverReached.length === 0),
      seeds: this.#seeds,
      failed: this.#failed.sort((a, b) => bySeed(a.seed, b.seed)),
      seconds,
      threads,
      ...this.#total,
      undecidedSeeds: this.#undecided.sort(bySeed),
      simulatedSecondsPerSecond: simulatedSeconds / seconds,
      eventsPerSecondPerThread: events / seconds / threads,
      marks: Object.fromEntries([...this.#marks].sort(([a], [b]) => (a < b ? -1 : 1))),
      marksNeverReached,
      rareMarksNotReached,
      hash: trace.hash(),
    };
  }
}

/** Numbers by value, before any other text. */
function bySeed(a: string, b: string): number {
  const difference = Number(a) - Number(b);
  if (!Number.isNaN(difference) && difference !== 0) return difference;
  return a < b ? -1 : a === b ? 0 : 1;
}

export function formatSummary(summary: CampaignSummary): string {
  const { seeds, failed, seconds, threads, marks, marksNeverReached, rareMarksNotReached } = summary;
  const rate = summary.simulatedSecondsPerSecond;
  const declared = Object.keys(marks).length + marksNeverReached.length + rareMarksNotReached.length;
  const lines = [
    `${seeds} seeds: ${seeds - failed.length - summary.undecided} held, ${failed.length} failed`,
    `  ${summary.simulatedSeconds.toFixed(0)} s simulated in ${seconds.toFixed(1)} s: ${rate.toFixed(0)} simulated seconds per second on ${threads} threads (${(rate / threads).toFixed(0)} each)`,
    `  ${summary.events} events (${summary.eventsPerSecondPerThread.toFixed(0)} a second and thread), ${summary.operations} operations, ${summary.entries} entries committed`,
    `  ${summary.faults} faults, ${summary.crashes} crashes, ${summary.elections} elections, ${Object.keys(marks).length} of ${declared} marks reached`,
  ];
  lines.push(
    `  ${summary.injuries} injuries of disks, ${summary.machinesLost} machines lost by them, ${summary.waited} clusters rightly waiting`,
  );
  if (summary.wholeChecks > 0)
    lines.push(`  ${summary.wholeChecks} histories checked as a whole: their pieces were too hard`);
  if (summary.undecided > 0) {
    const which = summary.undecidedSeeds.join(' ');
    lines.push(
      `  ${summary.undecided} histories NOT DECIDED, too hard as a whole, too: those of seeds ${which}`,
    );
  }
  for (const mark of marksNeverReached) lines.push(`  never reached: ${mark}`);
  for (const mark of rareMarksNotReached) lines.push(`  not reached, but rare: ${mark}`);
  for (const { seed, check } of failed) lines.push(`seed ${seed} FAILED: ${check}`);
  return `${lines.join('\n')}\nhash ${summary.hash}\n`;
}
