/** A few seeds of what takes long; many more are tried by the simulator. */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../../sim/random.ts';
import { tryMembers } from '../../../sim/trials/member_trial.ts';
import { limitMs, runs } from '../../long.ts';

/** From one on that meets all of it. */
const FIRST = 4;
const SEEDS = runs(3);

describe('a trial of members', () => {
  it(
    'holds, and meets what it is for',
    () => {
      const reached = new Set<string>();
      for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
        expect(tryMembers(new SimRandom(`members ${seed}`), (name) => reached.add(name))).toBeNull();
      }
      expect([...reached]).toEqual(
        expect.arrayContaining([
          'a joint configuration is entered',
          'a learner has caught up and is promoted',
        ]),
      );
    },
    limitMs(60_000),
  );
});
