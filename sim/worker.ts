/** A worker thread of a campaign: runs the seeds that it is handed, one after the other. */
import { parentPort } from 'node:worker_threads';
import type { RunOptions } from './result.ts';
import { runSeed } from './world.ts';

export interface SeedOrder {
  readonly seed: string;
  readonly stormMs: number;
}

parentPort?.on('message', ({ seed, stormMs, trials }: SeedOrder & Required<Pick<RunOptions, 'trials'>>) => {
  parentPort?.postMessage(runSeed(seed, { stormMs, trials }));
});
