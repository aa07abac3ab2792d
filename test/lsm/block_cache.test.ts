import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockCache } from '../../src/lsm/block_cache.ts';

describe('a block cache', () => {
  it('gives back what was put in, or nothing, and keeps to its budget', () => {
    const step = fc.record({ table: fc.nat(3), block: fc.nat(9), size: fc.integer({ min: 1, max: 40 }) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 120 }), fc.array(step, { maxLength: 200 }), (budget, steps) => {
        const cache = new BlockCache(budget);
        const blocks = new Map<string, Uint8Array>();
        for (const { table, block, size } of steps) {
          const name = `${table} ${block}`;
          const found = cache.get(table, block);
          if (found !== null) expect(found).toBe(blocks.get(name));
          else {
            const bytes = new Uint8Array(size);
            blocks.set(name, bytes);
            cache.add(table, block, bytes);
            if (size <= budget) expect(cache.get(table, block)).toBe(bytes);
          }
          expect(cache.bytes).toBeLessThanOrEqual(budget);
        }
      }),
    );
  });

  it('throws out what was not used before what was', () => {
    const cache = new BlockCache(100);
    for (let block = 0; block < 10; block++) cache.add(1, block, new Uint8Array(10));
    for (const block of [0, 2, 4, 6, 8]) cache.get(1, block);
    for (let block = 0; block < 5; block++) cache.add(2, block, new Uint8Array(10));
    const kept = [...Array(10).keys()].filter((block) => cache.get(1, block) !== null);
    expect(kept).toEqual([0, 2, 4, 6, 8]);
  });
});
