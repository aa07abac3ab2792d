/** A few seeds of what takes long; many more are tried by the simulator. */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../../sim/random.ts';
import { tryStaleReads } from '../../../sim/trials/stale_trial.ts';
import { limitMs, runs } from '../../long.ts';

/** From one on that meets all of it. */
const FIRST = 17;
const SEEDS = runs(3);

describe('a trial of stale reads', () => {
  it(
    'holds, and meets what it is for',
    () => {
      const reached = new Set<string>();
      for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
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
