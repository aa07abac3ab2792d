import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../../sim/random.ts';
import { tryDivergence } from '../../../sim/trials/divergence_trial.ts';

/** What it is for. */
const REACHED = [
  'a replica is the odd one out',
  'the leader is the odd one out',
  'a replica that was the odd one out is rebuilt',
  'a node starts that was the odd one out',
  'replicas have done the same in a window',
];

describe('nodes of which some come to hold something else', () => {
  it('find out who, answer rightly from then on, and hold the same again', { timeout: 180_000 }, () => {
    const reached = new Set<string>();
    for (let seed = 0; seed < 16; seed++) {
      const found = tryDivergence(new SimRandom(`divergence ${seed}`), (name) => reached.add(name));
      expect(found, `seed ${seed}`).toBeNull();
    }
    expect(REACHED.filter((name) => !reached.has(name))).toEqual([]);
  });
});
