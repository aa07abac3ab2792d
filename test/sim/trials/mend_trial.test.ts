import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../../sim/random.ts';
import { tryMending } from '../../../sim/trials/mend_trial.ts';

/** What it is for. */
const REACHED = [
  'a damaged table is put aside',
  'a damaged table is mended',
  'a whole state is fetched in place of a damaged one',
  'an entry depends on what is damaged',
  'a leader hands over because of damage',
  'a read that meets damage is handed on',
  'a replica cannot give out what another one lacks',
];

describe('nodes whose tables rot', () => {
  it('mend them and answer rightly meanwhile, whatever the seed', { timeout: 180_000 }, () => {
    const reached = new Set<string>();
    for (let seed = 0; seed < 8; seed++) {
      expect(tryMending(new SimRandom(`mend ${seed}`), (name) => reached.add(name))).toBeNull();
    }
    expect(REACHED.filter((name) => !reached.has(name))).toEqual([]);
  });
});
