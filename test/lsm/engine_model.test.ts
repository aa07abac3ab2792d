import fc from 'fast-check';
import { describe, it } from 'vitest';
import type { StoreOptions } from '../../src/lsm/store.ts';
import { EngineRun, step } from './engine_run.ts';

/** Minutes instead of seconds. */
const LONG = process.env.ENVELOPEDB_LONG_TESTS === '1' ? 30 : 1;

/** Tiny, so that a few dozen entries fill several levels. */
const SHAPES: readonly Partial<StoreOptions>[] = [
  { compaction: 'levelled', mergeAtTables: 2, tableBytes: 256, levelBytes: 512, levelGrowth: 2 },
  { compaction: 'levelled', mergeAtTables: 4, tableBytes: 64, levelBytes: 256, levelGrowth: 3 },
  { compaction: 'size-tiered', mergeAtTables: 3, tableBytes: 256 },
];

describe('a store', () => {
  for (const shape of SHAPES) {
    it(`answers as a sorted map does, snapshots and held iterators too, when ${JSON.stringify(shape)}`, () => {
      fc.assert(
        fc.property(fc.string(), fc.array(step, { maxLength: 80, size: 'max' }), (seed, steps) => {
          const run = new EngineRun(seed, {
            memtableBytes: 512,
            blockBytes: 96,
            restartInterval: 3,
            stepBytes: 128,
            ...shape,
          });
          for (const one of steps) run.apply(one);
          run.end();
        }),
        { numRuns: 25 * LONG },
      );
    }, 900_000);
  }
});
