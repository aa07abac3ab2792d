/** A few seeds of what takes long; many more are tried by the simulator. */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../../sim/random.ts';
import { tryStaleReads } from '../../../sim/trials/stale_trial.ts';
import { limitMs, runs } from '../../long.ts';

const SEEDS = runs(3);

describe('a trial of stale reads', () => {
  it(
    'holds, and meets what it is for',
    () => {
      const reached = new Set<string>();
      for (let seed = 0; seed < SEEDS; seed++) {
        expect(tryStaleReads(new SimRandom(`stale ${seed}`), (name) => reached.add(name))).toBeNull();
      }
      expect([...reached]).toEqual(
        expect.arrayContaining([
          'a stale read waits for what it must see',
          'a stale read is refused because nothing proves how old it is',
          'a stale read is refused because its revision is not here',
        ]),
      );
    },
    limitMs(60_000),
  );
});
