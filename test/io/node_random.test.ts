import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NodeRandom } from '../../src/io/node/random.ts';

describe('the randomness of Node', () => {
  it('draws integers from zero to below the bound, for every bound', () => {
    const random = new NodeRandom();
    fc.assert(
      fc.property(fc.oneof(fc.integer({ min: 1, max: 2 ** 32 }), fc.constantFrom(1, 2, 2 ** 32)), (bound) => {
        for (let i = 0; i < 20; i++) {
          const draw = random.below(bound);
          expect(Number.isInteger(draw) && draw >= 0 && draw < bound).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('refuses bounds that are none', () => {
    const random = new NodeRandom();
    for (const bound of [0, -1, 1.5, 2 ** 32 + 1, Number.NaN]) {
      expect(() => random.below(bound)).toThrow(RangeError);
    }
  });

  it('draws every result equally often', () => {
    const random = new NodeRandom();
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 60_000; i++) counts[random.below(6)]++;
    // The standard deviation of each is 91: eight of them is beyond chance.
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(730);
  });

  it('does not favour small results where the bound does not divide 2^32', () => {
    const random = new NodeRandom();
    const bound = 3 * 2 ** 30;
    let low = 0;
    // The remainder alone would put half of all draws into the lowest third.
    for (let i = 0; i < 6000; i++) if (random.below(bound) < 2 ** 30) low++;
    expect(low).toBeGreaterThan(1700);
    expect(low).toBeLessThan(2300);
  });

  it('differs from one to the next', () => {
    const draws = Array.from({ length: 100 }, () => new NodeRandom().below(2 ** 32));
    expect(new Set(draws).size).toBe(100);
  });
});
