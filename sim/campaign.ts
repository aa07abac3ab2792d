/** Many seeds over worker threads, with a progress line for people and a summary for all. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Trace } from './trace.ts';
import type { RunResult } from './world.ts';

export interface CampaignOptions {
  readonly first: number;
  readonly seeds: number;
  readonly stormMs: number;
  /** Worker threads; null: one per core. */
  readonly jobs: number | null;
  readonly untilFailure: boolean;
}

const PROGRESS_MS = 500;
const FAILURES_SHOWN_MAX = 10;

export class Campaign {
  readonly #options: CampaignOptions;
  readonly #results: RunResult[] = [];
  #next: number;
  #simulatedSeconds = 0;
  #events = 0;
  #failures = 0;
  #shownAtMs = 0;

  constructor(options: CampaignOptions) {
    this.#options = options;
    this.#next = options.first;
  }

  async run(): Promise<number> {
    const { seeds, jobs } = this.#options;
    const startedAt = performance.now();
    const workers = Math.max(1, Math.min(jobs ?? availableParallelism(), seeds));
    await Promise.all(Array.from({ length: workers }, () => this.#work(startedAt)));
    this.#report((performance.now() - startedAt) / 1000, workers);
    return this.#failures === 0 ? 0 : 1;
  }

  #work(startedAt: number): Promise<void> {
    const { first, seeds, stormMs, untilFailure } = this.#options;
    const worker = new Worker(new URL('./worker_entry.mjs', import.meta.url));
    return new Promise((resolve, reject) => {
      const handOut = (): void => {
        if (this.#next >= first + seeds || (untilFailure && this.#failures > 0)) {
          worker.terminate().then(() => resolve(), reject);
          return;
        }
        worker.postMessage({ seed: String(this.#next++), stormMs });
      };
      worker.on('message', (result: RunResult) => {
        this.#take(result, startedAt);
        handOut();
      });
      worker.on('error', reject);
      handOut();
    });
  }

  #take(result: RunResult, startedAt: number): void {
    this.#results.push(result);
    this.#simulatedSeconds += result.simulatedSeconds;
    this.#events += result.events;
    if (result.failure !== null) {
      this.#failures++;
      if (this.#failures <= FAILURES_SHOWN_MAX) {
        process.stdout.write(
          `\nseed ${result.seed} FAILED: ${result.failure.check}\n${result.failure.message}\nreplay: npm run sim -- --seed ${result.seed}${this.#stormOption()}\n`,
        );
      }
    }
    const nowMs = performance.now();
    if (process.stderr.isTTY && nowMs - this.#shownAtMs > PROGRESS_MS) {
      this.#shownAtMs = nowMs;
      const seconds = (nowMs - startedAt) / 1000;
      process.stderr.write(
        `\r${this.#results.length}/${this.#options.seeds} seeds, ${this.#events} events, ${(this.#simulatedSeconds / seconds).toFixed(0)} simulated s/s, ${this.#failures} failed `,
      );
    }
  }

  #stormOption(): string {
    return ` --storm-ms ${this.#options.stormMs}`;
  }

  #report(seconds: number, workers: number): void {
    if (process.stderr.isTTY) process.stderr.write('\n');
    // By seed, not by when a worker finished: the same seeds give the same line.
    this.#results.sort((a, b) => Number(a.seed) - Number(b.seed));
    const trace = new Trace();
    const total = { operations: 0, crashes: 0, elections: 0, entries: 0 };
    for (const result of this.#results) {
      trace.event(result.hash);
      total.operations += result.operations;
      total.crashes += result.crashes;
      total.elections += result.elections;
      total.entries += result.entries;
    }
    const rate = this.#simulatedSeconds / seconds;
    process.stdout.write(
      [
        `${this.#results.length} seeds: ${this.#results.length - this.#failures} held, ${this.#failures} failed`,
        `  ${this.#simulatedSeconds.toFixed(0)} s simulated in ${seconds.toFixed(1)} s: ${rate.toFixed(0)} simulated seconds per second on ${workers} threads (${(rate / workers).toFixed(0)} each)`,
        `  ${this.#events} events, ${total.operations} operations, ${total.entries} entries committed, ${total.crashes} crashes, ${total.elections} elections`,
        `hash ${trace.hash()}`,
        '',
      ].join('\n'),
    );
  }
}
