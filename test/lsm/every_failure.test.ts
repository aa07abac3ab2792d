/**
 * A script that takes a store through several levels, with one fault, or one crash, at each place in turn; when time is
 * short at every so manieth.
 */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../sim/random.ts';
import { DiskError } from '../../src/base/errors.ts';
import type { StoreOptions } from '../../src/lsm/store.ts';
import { EngineRun, type Step, type Write } from './engine_run.ts';
import { type Counted, FailingDisk } from './failing_disk.ts';

const IS_LONG = process.env.ENVELOPEDB_LONG_TESTS === '1';
/** From one place to the next. */
const STRIDE = IS_LONG ? 1 : 17;
const PATIENCE_MS = 900_000;

const SHAPES: readonly Partial<StoreOptions>[] = [
  { compaction: 'levelled', mergeAtTables: 2, levelBytes: 400, levelGrowth: 2 },
  { compaction: 'size-tiered', mergeAtTables: 3 },
];
const TINY = { memtableBytes: 500, blockBytes: 96, restartInterval: 3, stepBytes: 256, tableBytes: 256 };

function drawWrite(random: SimRandom, at: number): Write {
  const name = (): string => `k${String(random.below(24)).padStart(2, '0')}`;
  if (random.chance(60)) return { do: 'range', gte: name(), lt: name() };
  if (random.chance(150)) return { do: 'delete', key: name() };
  return { do: 'put', key: name(), value: `${at}`.padEnd(random.below(60), '.') };
}

const SCRIPT: readonly Step[] = (() => {
  const random = new SimRandom('script');
  const steps: Step[] = [];
  for (let at = 0; at < 22; at++) {
    const writes = Array.from({ length: random.between(1, 6) }, () => drawWrite(random, at));
    steps.push({ do: 'entry', writes });
    if (at % 6 === 2) steps.push({ do: 'snapshot' });
    if (at % 4 === 3) steps.push({ do: 'settle' });
    if (at === 13) steps.push({ do: 'merge' });
    if (at === 15) steps.push({ do: 'release' });
  }
  steps.push({ do: 'settle' });
  return steps;
})();

/** Plays the script; what went wrong, or null. What is not an error of the disk is thrown. */
function play(run: EngineRun, steps: readonly Step[]): Error | null {
  try {
    for (const one of steps) run.apply(one);
    return null;
  } catch (error) {
    const cause = run.rig.failure ?? error;
    if (cause instanceof DiskError) return cause;
    throw error;
  }
}

function withFailure(run: EngineRun, nth: number, counted: Counted): FailingDisk {
  const { rig } = run;
  const disk = new FailingDisk(rig.disk.attach(rig.process), nth, (task) => rig.later(task), counted);
  run.options = { ...run.options, disk };
  return disk;
}

for (const shape of SHAPES) {
  describe(`a ${shape.compaction} store`, () => {
    for (const then of ['crash', 'reopen'] as const) {
      it(
        `of which one disk operation fails, whichever it is, says so, and all is right after a ${then}`,
        () => {
          let nth = 1;
          for (let hasFailed = true; hasFailed; nth += STRIDE) {
            const run = new EngineRun(`${nth}`, { ...TINY, ...shape });
            const disk = withFailure(run, nth, IS_LONG ? 'everything' : 'changes');
            let error: Error | null = null;
            try {
              run.apply({ do: 'reopen' });
            } catch (failure) {
              if (!(failure instanceof DiskError)) throw failure;
              error = failure;
            }
            if (error === null) error = play(run, SCRIPT);
            ({ hasFailed } = disk);
            // A file that cannot be removed is nobody's failure; the next open removes it.
            run.options = { ...TINY, ...shape };
            run.apply({ do: then });
            run.end();
          }
          expect(nth).toBeGreaterThan(100);
        },
        PATIENCE_MS,
      );
    }

    it(
      'that has no space once, whenever it is, goes on by itself and loses nothing',
      () => {
        let nth = 1;
        for (let hasFailed = true; hasFailed; nth += STRIDE) {
          const run = new EngineRun(`${nth}`, { ...TINY, ...shape });
          const disk = withFailure(run, nth, 'space');
          try {
            run.apply({ do: 'reopen' });
          } catch (failure) {
            // An open that has no space is the caller's to repeat.
            if (!(failure instanceof DiskError)) throw failure;
            run.apply({ do: 'reopen' });
          }
          expect(play(run, SCRIPT)).toBeNull();
          run.end();
          ({ hasFailed } = disk);
        }
        expect(nth).toBeGreaterThan(60);
      },
      PATIENCE_MS,
    );

    it(
      'that crashes at any step is as of an entry that it had, and right once the rest is applied again',
      () => {
        let crashes = 0;
        for (let at = 2; at < SCRIPT.length; at += IS_LONG ? 1 : 5) {
          for (let steps = 0; ; steps += IS_LONG ? 1 : 3) {
            const run = new EngineRun(`${at} ${steps}`, { ...TINY, ...shape });
            for (const one of SCRIPT.slice(0, at)) if (one.do !== 'settle') run.apply(one);
            run.rig.steps(steps);
            const isIdle = !run.rig.scheduler.step();
            run.apply({ do: 'crash' });
            crashes++;
            if (isIdle) break;
          }
        }
        expect(crashes).toBeGreaterThan(20);
      },
      PATIENCE_MS,
    );
  });
}
