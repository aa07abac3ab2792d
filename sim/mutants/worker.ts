/** What a bundle with a planted bug begins with: runs seeds there, and makes the run that has failed small. */
import { parentPort } from 'node:worker_threads';
import type { RunResult } from '../result.ts';
import { eventCount } from '../scenario.ts';
import { Shrinker } from '../shrink.ts';
import { recordSeed, runSeed } from '../world.ts';

export interface HuntOrder {
  readonly seed: string;
  readonly stormMs: number;
  readonly trials: 'all' | 'none';
  /** Null: it is run; else it has failed, and is made small within so many seconds. */
  readonly shrinkSeconds: number | null;
}

/** Strokes and requests, before and after. */
export interface Shrunk {
  readonly from: number;
  readonly to: number;
}

export type HuntAnswer =
  | { readonly type: 'run'; readonly result: RunResult }
  /** Null: its schedule alone does not fail. */
  | { readonly type: 'shrunk'; readonly shrunk: Shrunk | null };

/** Latencies that a shorter schedule is tried with. */
const NOISES = 6;

parentPort?.on('message', (order: HuntOrder) => {
  parentPort?.postMessage(carryOut(order));
});

function carryOut({ seed, stormMs, trials, shrinkSeconds }: HuntOrder): HuntAnswer {
  if (shrinkSeconds === null) return { type: 'run', result: runSeed(seed, { stormMs, trials }) };
  const { result, scenario } = recordSeed(seed, stormMs);
  const until = performance.now() + shrinkSeconds * 1000;
  const shrinker = new Shrinker(scenario, {
    check: result.failure?.check ?? '',
    runsMax: Number.MAX_SAFE_INTEGER,
    noises: NOISES,
    isOver: () => performance.now() > until,
    onProgress: () => {},
  });
  const small = shrinker.run();
  const shrunk = small === null ? null : { from: eventCount(scenario), to: eventCount(small.scenario) };
  return { type: 'shrunk', shrunk };
}
