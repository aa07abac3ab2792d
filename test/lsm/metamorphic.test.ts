/** The same operations under other options give the same answers: options are about speed and space alone. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runLength } from '../../sim/run_length.ts';
import { nodeCompressions } from '../../src/io/node/compression.ts';
import type { StoreOptions } from '../../src/lsm/store.ts';
import { EngineRun, type Step, step } from './engine_run.ts';

const LONG = process.env.ENVELOPEDB_LONG_TESTS === '1' ? 40 : 1;
const HUGE = 1 << 20;
const KNOWN = { compressions: [runLength, ...nodeCompressions] };
const TINY = { memtableBytes: 512, blockBytes: 96, restartInterval: 3, stepBytes: 128 };

/** Sensible, tiny, and absurd ones. */
const OPTION_SETS: readonly Partial<StoreOptions>[] = [
  {},
  TINY,
  { memtableBytes: 1 },
  { memtableBytes: 1, blockBytes: 1, restartInterval: 1, tableBytes: 1, levelBytes: 1, levelGrowth: 1 },
  { ...TINY, blockBytes: 1 },
  { ...TINY, blockBytes: HUGE },
  { ...TINY, restartInterval: 1 },
  { ...TINY, restartInterval: HUGE },
  { ...TINY, filterBitsPerKey: 0 },
  { ...TINY, filterBitsPerKey: 1 },
  { ...TINY, filterBitsPerKey: 100 },
  { ...TINY, immutableMemtablesMax: 1 },
  { ...TINY, immutableMemtablesMax: HUGE },
  { ...TINY, mergeAtTables: 1 },
  { ...TINY, mergeAtTables: HUGE },
  { ...TINY, stepBytes: 1 },
  { ...TINY, stepBytes: HUGE },
  { ...TINY, tableBytes: 1, mergeAtTables: 2 },
  { ...TINY, tableBytes: 200, levelBytes: 300, levelGrowth: 2, mergeAtTables: 2 },
  { ...TINY, levelBytes: 1, levelGrowth: 1, mergeAtTables: 1 },
  { ...TINY, compaction: 'size-tiered', mergeAtTables: 1 },
  { ...TINY, compaction: 'size-tiered', mergeAtTables: 3, tableBytes: 1 },
  { ...TINY, compaction: 'size-tiered', mergeAtTables: HUGE },
  { ...TINY, slowAtRuns: 0, stopAtRuns: 0, slowAtDebtBytes: 0, stopAtDebtBytes: 0 },
  { ...TINY, damagedTables: 'quarantine', outOfSpaceRetryMs: 0 },
  { ...TINY, blockCacheBytes: 1 },
  { ...TINY, blockCacheBytes: 500 },
  { ...TINY, blockCacheBytes: HUGE, mergeAtTables: 2, levelBytes: 300, tableBytes: 200 },
  { ...TINY, compression: 'run-length' },
  { ...TINY, compression: 'run-length', blockBytes: 1, blockCacheBytes: 0 },
  { ...TINY, compression: 'deflate', blockBytes: 400, tableBytes: 200, blockCacheBytes: 300 },
];

/** What it answers; what is wrong throws. */
function transcriptOf(seed: string, options: Partial<StoreOptions>, steps: readonly Step[]): string[] {
  const run = new EngineRun(seed, { ...KNOWN, ...options });
  for (const one of steps) run.apply(one);
  run.end();
  return run.transcript;
}

describe('a store', () => {
  it(`gives the same answers under each of ${OPTION_SETS.length} sets of options`, () => {
    expect(OPTION_SETS.length).toBeGreaterThanOrEqual(20);
    fc.assert(
      fc.property(fc.string(), fc.array(step, { maxLength: 40, size: 'max' }), (seed, steps) => {
        const [first, ...others] = OPTION_SETS;
        const expected = JSON.stringify(transcriptOf(seed, first ?? {}, steps));
        for (const options of others) {
          const found = JSON.stringify(transcriptOf(seed, options, steps));
          if (found !== expected) expect.fail(`other answers under ${JSON.stringify(options)}`);
        }
      }),
      { numRuns: 4 * LONG },
    );
  }, 900_000);

  it('may be opened under other options than it was written with, each time', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.array(fc.tuple(fc.constantFrom(...OPTION_SETS), fc.array(step, { maxLength: 15, size: 'max' })), {
          maxLength: 6,
          size: 'max',
        }),
        (seed, lives) => {
          const run = new EngineRun(seed, { ...KNOWN, ...OPTION_SETS[1] });
          for (const [options, steps] of lives) {
            run.options = { ...KNOWN, ...options };
            run.apply({ do: 'reopen' });
            for (const one of steps) run.apply(one);
          }
          run.end();
        },
      ),
      { numRuns: 15 * LONG },
    );
  }, 900_000);
});
